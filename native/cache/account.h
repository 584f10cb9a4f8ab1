#pragma once
// What a sequence takes, by what holds it.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "attention/block.h"

namespace sightline::cache {

struct Account {
  struct Held {
    int64_t tokens = 0;
    size_t bytes = 0;  // over all layers
    bool operator==(const Held&) const = default;
  };
  /// A level of the policy's ladder; layers with formats of their own are counted with it.
  struct Coded : Held {
    attention::Tier tier;
    bool operator==(const Coded&) const = default;
  };

  int64_t tokens = 0;  // length of the sequence: sink + window + coded + dropped
  Held sink, window;
  std::vector<Coded> coded;     // lowest level first, only those in use
  int64_t dropped_tokens = 0;   // that queries no longer see; the mean over layers
  int64_t degraded_tokens = 0;  // of the window: decoded again from a coded block
  size_t fp16_bytes = 0;        // what the same tokens take in an FP16 cache without blocks
  bool operator==(const Account&) const = default;

  /// Adds up to what the pool has handed out to the sequence, shared slots included.
  size_t bytes() const {
    size_t sum = sink.bytes + window.bytes;
    for (const Coded& level : coded) sum += level.bytes;
    return sum;
  }
};

}  // namespace sightline::cache
