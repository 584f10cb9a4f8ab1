#include "device/profile.h"

#include <utility>

namespace sightline::device {

double Profile::since_start(Clock::time_point time) const {
  return std::chrono::duration<double, std::micro>(time - start_).count();
}

void Profile::begin_step(int32_t first, int32_t tokens) {
  in_step_ = true;
  is_full_ = recorded_.steps.size() == kMostSteps;
  step_events_ = recorded_.events.size();
  step_ = {first, tokens, since_start(Clock::now()), 0, {}, 0};
}

void Profile::drop_step() {
  in_step_ = false;
  recorded_.events.resize(step_events_);
}

void Profile::end_step(Clock::time_point end, const cache::Account& account, size_t passed_bytes) {
  if (is_full_) {
    drop_step();
    recorded_.lost_steps++;
    return;
  }
  in_step_ = false;
  step_.duration = since_start(end) - step_.start;
  step_.account = account;
  step_.passed_bytes = passed_bytes;
  recorded_.steps.push_back(step_);
}

void Profile::add(const Operation& operation, const Cost& cost, Clock::time_point start,
                  Clock::time_point end) {
  if (!in_step_ || is_full_) return;
  if (recorded_.events.size() == kMostEvents) {
    is_full_ = true;
    return;
  }
  const auto [known, is_new] =
      known_.try_emplace(operation, static_cast<int32_t>(recorded_.operations.size()));
  if (is_new) recorded_.operations.push_back(operation);
  const double from = since_start(start);
  recorded_.events.push_back({known->second, static_cast<int32_t>(recorded_.steps.size()), from,
                              since_start(end) - from, cost});
}

Recorded Profile::take() {
  known_.clear();
  step_events_ = 0;
  return std::exchange(recorded_, {});
}

}  // namespace sightline::device
