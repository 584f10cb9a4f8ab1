// What steps of several tokens take, and how long they may be for their end to be taken back.

#include <algorithm>
#include <chrono>
#include <limits>

#include "runtime/model.h"

namespace sightline::runtime {
namespace {

constexpr double kEnoughSeconds = 0.1;  // of measuring

}  // namespace

/// The most tokens of the next step of which all but the first can be taken back with no trace.
size_t Model::revocable_step() const {
  if (device_ == nullptr) return 1;  // the reference is plain decoding
  // What such layers have let go of, or summed up, does not come back.
  const llama_model* model = model_.get();
  if (llama_model_is_recurrent(model) || llama_model_is_hybrid(model) ||
      llama_model_n_swa(model) > 0)
    return 1;
  const size_t room = static_cast<size_t>(info_.context_tokens) - tokens_.size();
  return std::min(room, static_cast<size_t>(device_->cache().revocable_step()));
}

/// Measures `step_costs_` by steps that are taken back again. They are still not known afterwards
/// where there is no room for these here.
Result<Done> Model::measure_steps(std::span<const llama_token> text, const Cancel& cancel) {
  constexpr size_t kMost = StepCosts::kSizes.back();
  if (text.size() < kMost || revocable_step() < kMost) return Done{};
  using Clock = std::chrono::steady_clock;
  using Seconds = std::chrono::duration<double>;
  const auto held = static_cast<int32_t>(tokens_.size());
  const auto take = [&](size_t size, double& least) -> Result<Done> {
    const auto start = Clock::now();
    if (const auto decoded = decode(text.last(size), true, cancel); !decoded) return decoded;
    llama_synchronize(context_.get());
    least = std::min(least, Seconds(Clock::now() - start).count());
    truncate(held);
    return Done{};
  };
  double one = std::numeric_limits<double>::infinity();
  std::array<double, StepCosts::kSizes.size()> several;
  several.fill(one);
  const auto start = Clock::now();
  while (Seconds(Clock::now() - start).count() < kEnoughSeconds) {
    if (const auto taken = take(1, one); !taken) return taken;
    for (size_t i = 0; i < several.size(); i++) {
      const auto size = static_cast<size_t>(StepCosts::kSizes[i]);
      if (const auto taken = take(size, several[i]); !taken) return taken;
    }
  }
  StepCosts costs;
  for (size_t i = 0; i < several.size(); i++) costs.cost[i] = static_cast<float>(several[i] / one);
  step_costs_ = costs;
  return Done{};
}

}  // namespace sightline::runtime
