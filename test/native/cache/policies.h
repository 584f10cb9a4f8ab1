#pragma once
// Every kind of policy, with sinks and windows at the edges, formats set apart, layers of their
// own.

#include <vector>

#include "cache/policy.h"
#include "cache/schedule.h"

namespace sightline::test {

using Geometries = std::vector<cache::Geometry>;

inline const Geometries kSmall{{2, 16}, {1, 16}, {2, 16}};

inline std::vector<cache::Policy> policies() {
  using attention::Format;
  using attention::Tier;
  using cache::PolicyKind;
  constexpr Tier kInt4{Format::int4, Format::int4};
  constexpr Tier kK4V2{Format::int4, Format::int2};
  return {
      {.kind = PolicyKind::full, .sink = 0},
      {.kind = PolicyKind::selective, .window = 256},
      {.kind = PolicyKind::selective, .sink = 0, .window = 0, .tier = kInt4},
      {.kind = PolicyKind::selective, .sink = 128, .window = 70, .tier = kK4V2},
      {.kind = PolicyKind::selective,
       .sink = 5,
       .window = 100,
       .tier = {Format::fp8, Format::fp16},
       .layers = {{0, Format::fp16, Format::fp16}, {2, Format::int8, {}}}},
      {.kind = PolicyKind::hierarchical, .window = 64, .span = 400},
      {.kind = PolicyKind::hierarchical,
       .sink = 300,
       .window = 0,
       .span = 0,
       .layers = {{1, Format::fp16, {}}}},
      {.kind = PolicyKind::compressed, .window = 200},
      {.kind = PolicyKind::automatic, .window = 128, .budget = size_t{300} << 10, .step = 300},
      {.kind = PolicyKind::automatic,
       .sink = 0,
       .window = 0,
       .budget = size_t{200} << 10,
       .step = 300,
       .layers = {{0, Format::fp16, Format::fp16}}},
      {.kind = PolicyKind::lowrank, .window = 64, .rank = 8},
      {.kind = PolicyKind::lowrank,
       .window = 64,
       .tier = kInt4,
       .energy = 0.7f,
       .layers = {{1, Format::int8, {}}}},
      {.kind = PolicyKind::h2o, .window = 100, .keep = 0.3f},
      {.kind = PolicyKind::h2o, .sink = 128, .window = 0, .tier = kInt4, .keep = 1.0f},
      {.kind = PolicyKind::attention, .window = 30, .threshold = 0.95f},
      {.kind = PolicyKind::importance, .sink = 3, .window = 128, .keep = 0.6f},
  };
}

}  // namespace sightline::test
