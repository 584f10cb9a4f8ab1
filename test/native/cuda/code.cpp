#include "attention/cuda/code.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <random>

#include "attention/cuda/emulator/kernels.h"
#include "attention/cuda/emulator/machine.h"
#include "attention/cuda/transfer.h"
#include "attention/format/access.h"
#include "attention/format/format.h"
#include "attention/half.h"
#include "memory.h"

using namespace sightline::attention;
using namespace sightline::attention::cuda;
using test::DeviceMemory;

namespace {

enum class Kind { normal, offset, constant, tiny, large };

/// A part's keys and values in FP16, in the CPU's layout.
std::vector<std::byte> halves_part(const Extent& extent, Kind kind, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<std::byte> part(part_bytes({}, extent));
  auto* keys = at_offset<uint16_t>(part.data(), 0);
  auto* values = at_offset<uint16_t>(part.data(), values_offset({}, extent));
  for (int t = 0; t < extent.tokens; t++) {
    for (int c = 0; c < extent.head_dim; c++) {
      const auto element = [&] {
        const float x = normal(random);
        switch (kind) {
          case Kind::offset:
            return c % 7 == 0 ? 30.0f + x : x;
          case Kind::constant:
            return 1.5f;
          case Kind::tiny:
            return x * 0x1p-22f;
          case Kind::large:
            return t % 5 == 0 ? x * 30000.0f : x;
          default:
            return x;
        }
      };
      keys[key_index(extent, t, c)] = float_to_half(std::clamp(element(), -65504.0f, 65504.0f));
      values[value_index(extent, t, c)] = float_to_half(std::clamp(element(), -65504.0f, 65504.0f));
    }
  }
  return part;
}

/// What the kernel makes of a part, in the CPU's layout.
std::vector<std::byte> coded_by_kernel(Tier tier, const Extent& extent,
                                       const std::vector<std::byte>& halves, uint32_t seed) {
  DeviceMemory<std::byte> source(halves.size());
  std::ranges::copy(halves, source.data());
  to_words({}, extent, source.all());
  DeviceMemory<std::byte> target(part_bytes(tier, extent));
  const auto job = [&](bool keys) {
    return CodeJob{.halves = source.data() + (keys ? 0 : values_offset({}, extent)),
                   .coded = target.data() + (keys ? 0 : values_offset(tier, extent)),
                   .head_dim = extent.head_dim,
                   .capacity = extent.capacity,
                   .tokens = extent.tokens,
                   .format = keys ? tier.k : tier.v,
                   .keys = keys};
  };
  const CodeJob jobs[] = {job(true), job(false)};
  emulator::Machine machine({seed});
  const auto slices = static_cast<unsigned>((kBlockTokens + kSliceTokens - 1) / kSliceTokens);
  machine.run({{slices, 2, 1}, {kCodeThreads, 1, 1}, code_shared_bytes(extent.head_dim)},
              [&] { code_blocks({jobs}); });
  from_words(tier, extent, target.all());
  return {target.all().begin(), target.all().end()};
}

std::vector<std::byte> coded_by_cpu(Tier tier, const Extent& extent,
                                    const std::vector<std::byte>& halves) {
  std::vector<std::byte> part(part_bytes(tier, extent));
  encode_keys(tier.k, at_offset<uint16_t>(halves.data(), 0), part.data(), extent);
  encode_values(tier.v, at_offset<uint16_t>(halves.data(), values_offset({}, extent)),
                part.data() + values_offset(tier, extent), extent);
  return part;
}

const Tier kTiers[] = {{Format::int8, Format::int8},
                       {Format::int4, Format::int4},
                       {Format::int4, Format::int2},
                       {Format::fp8, Format::fp8}};

}  // namespace

TEST_CASE("coding gives the CPU's codes, bit by bit") {
  uint32_t seed = 0;
  for (const Tier tier : kTiers) {
    for (const int head_dim : {64, 80, 96, 128, 256}) {
      for (const Kind kind :
           {Kind::normal, Kind::offset, Kind::constant, Kind::tiny, Kind::large}) {
        CAPTURE(name_of(tier));
        CAPTURE(head_dim);
        CAPTURE(static_cast<int>(kind));
        const bool is_whole = head_dim == 64 || kind == Kind::normal;
        const Extent extent =
            is_whole ? Extent{head_dim, kBlockTokens, kBlockTokens} : Extent{head_dim, 48, 35};
        const auto halves = halves_part(extent, kind, ++seed);
        CHECK(coded_by_kernel(tier, extent, halves, seed % 6) ==
              coded_by_cpu(tier, extent, halves));
      }
    }
  }
}
