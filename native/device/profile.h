#pragma once
// What the operations of a model's steps took, one by one. Used from the thread that computes.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "cache/account.h"

namespace sightline::device {

/// An operation, as all its runs have it in common.
struct Operation {
  std::string name;    // ggml's, such as MUL_MAT, or one of ours: APPEND, CODE, ATTEND
  std::string role;    // the name of its weights or of its result, without the layer: ffn_gate
  int32_t layer = -1;  // -1: of none
  std::string shape;   // types and sizes of what it reads and gives
  std::string device;  // that it ran on
  std::string kernel;  // of ours: avx2, avx512vnni, cuda ...; else empty
  std::string tiers;   // of ours: that it reads or writes, such as fp16+int8; else empty
  auto operator<=>(const Operation&) const = default;
};

/// Bytes of the cache that were read, of one tier.
struct TierBytes {
  attention::Tier tier;
  size_t bytes;
};

/// What an operation is bound to do, whatever computes it.
struct Cost {
  double flops = 0;
  double bytes = 0;  // read and written, everything once
  std::vector<TierBytes> cache = {};
};

/// A run of an operation. Microseconds, from the start of the profile.
struct Event {
  int32_t operation;  // of Recorded::operations
  int32_t step;       // of Recorded::steps
  double start, duration;
  Cost cost;
};

/// A batch of tokens.
struct ProfiledStep {
  int32_t first, tokens;
  double start, duration;
  cache::Account account;   // afterwards
  size_t passed_bytes = 0;  // of cache tensors that are not ours
};

struct Recorded {
  std::vector<Operation> operations;
  std::vector<Event> events;
  std::vector<ProfiledStep> steps;
  int32_t lost_steps = 0;  // there was no room for
};

class Profile {
 public:
  using Clock = std::chrono::steady_clock;

  /// What is kept between two calls of `take`: a few dozen MiB.
  static constexpr size_t kMostEvents = size_t{1} << 18;
  static constexpr size_t kMostSteps = size_t{1} << 16;

  void begin_step(int32_t first, int32_t tokens);
  void end_step(Clock::time_point end, const cache::Account& account, size_t passed_bytes);
  /// The step did not run to its end.
  void drop_step();
  /// Whether a step runs: nothing else is recorded.
  bool in_step() const { return in_step_; }

  void add(const Operation& operation, const Cost& cost, Clock::time_point start,
           Clock::time_point end);
  /// The same of what runs here.
  template <typename Run>
  auto time(const Operation& operation, const Cost& cost, Run run) {
    const Clock::time_point start = Clock::now();
    auto result = run();
    add(operation, cost, start, Clock::now());
    return result;
  }

  /// What was recorded since the last call.
  Recorded take();

 private:
  double since_start(Clock::time_point time) const;

  Clock::time_point start_ = Clock::now();
  bool in_step_ = false;
  bool is_full_ = false;    // the step does not fit
  size_t step_events_ = 0;  // before the step
  ProfiledStep step_{};
  std::map<Operation, int32_t> known_;
  Recorded recorded_;
};

}  // namespace sightline::device
