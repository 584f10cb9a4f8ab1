// Several sequences over one context.

#include <algorithm>

#include "cache/forecast.h"
#include "runtime/common_prefix.h"
#include "runtime/model.h"

namespace sightline::runtime {

std::vector<Model::Parked>::iterator Model::find_parked(int32_t sequence) {
  return std::find_if(parked_.begin(), parked_.end(),
                      [&](const Parked& parked) { return parked.sequence == sequence; });
}

/// Puts a sequence in the context. The one that is there is parked, or dropped where it has the
/// same number.
Result<Done> Model::enter(Parked next) {
  std::shared_ptr<cache::Sequence> before = device_->exchange_cache(std::move(next.cache));
  if (next.sequence != sequence_)
    parked_.push_back({sequence_, is_own_, std::move(before), std::move(tokens_)});
  sequence_ = next.sequence;
  is_own_ = next.is_own;
  return note_tokens(std::move(next.tokens));
}

Result<Done> Model::use(int32_t sequence) {
  if (sequence == sequence_ || !check_sessions()) return Done{};
  Parked next{sequence, false, nullptr, {}};
  if (const auto found = find_parked(sequence); found != parked_.end()) {
    next = std::move(*found);
    parked_.erase(found);
  } else {
    next.cache = device_->make_cache(policy_);
  }
  return enter(std::move(next));
}

Result<Done> Model::use(int32_t sequence, std::span<const llama_token> prompt) {
  if (!check_sessions()) return Done{};
  size_t own = 0;
  size_t most = 0;
  const cache::Sequence* best = nullptr;
  bool shares = true;
  const auto look = [&](int32_t number, bool is_own, std::span<const llama_token> tokens,
                        const cache::Sequence& cache) {
    const size_t common = common_prefix(tokens, prompt);
    if (number == sequence) {
      own = common;
      shares = !is_own;
    } else if (!is_own && common > most) {
      most = common;
      best = &cache;
    }
  };
  look(sequence_, is_own_, tokens_, device_->cache());
  for (const Parked& parked : parked_)
    look(parked.sequence, parked.is_own, parked.tokens, *parked.cache);
  if (!shares || most < own + attention::kBlockTokens) return use(sequence);

  // All but the last token at most: its logits are where generation begins.
  std::shared_ptr<cache::Sequence> fork =
      best->fork(static_cast<int32_t>(std::min(most, prompt.size() - 1)));
  const int32_t length = fork->length();
  if (static_cast<size_t>(length) <= own) return use(sequence);
  std::erase_if(parked_, [&](const Parked& parked) { return parked.sequence == sequence; });
  return enter({sequence, false, std::move(fork), {prompt.begin(), prompt.begin() + length}});
}

Result<Done> Model::begin_sequence(int32_t sequence, const cache::Policy& policy) {
  if (const auto checked = check_sessions(); !checked) return checked.error();
  drop_sequence(sequence);
  const auto entered = enter({sequence, true, device_->make_cache(policy), {}});
  publish();
  return entered;
}

void Model::drop_sequence(int32_t sequence) {
  if (sequence == sequence_) {
    truncate(0);
    if (check_sessions()) {
      device_->exchange_cache(device_->make_cache(policy_));
      is_own_ = false;
    }
  } else {
    std::erase_if(parked_, [&](const Parked& parked) { return parked.sequence == sequence; });
  }
  publish();
}

/// Drops the sequence used longest ago; false where none is parked.
bool Model::drop_parked() {
  if (parked_.empty()) return false;
  parked_.erase(parked_.begin());
  return true;
}

std::vector<Forecast> Model::forecast(std::span<const int32_t> lengths) const {
  cache::Policy policy;
  size_t passed = 0;
  {
    const std::lock_guard lock(stats_mutex_);
    policy = policy_;
    passed = stats_.passed_bytes;
  }
  std::vector<Forecast> forecasts;
  if (geometries_.empty()) return forecasts;
  const auto add = [&](cache::PolicyKind kind) {
    const bool known = std::any_of(
        forecasts.begin(), forecasts.end(),
        [&](const Forecast& forecast) { return forecast.policy == cache::name_of(kind); });
    if (known) return;
    cache::Policy other = policy;
    other.kind = kind;
    if (policy.kind == cache::PolicyKind::full) {
      other.sink = cache::kDefaultSink;
      other.window = cache::default_window(other);
    }
    Forecast& forecast = forecasts.emplace_back(std::string(cache::name_of(kind)));
    for (const int32_t length : lengths)
      forecast.bytes.push_back(passed + cache::forecast_bytes(other, geometries_, length));
  };
  for (const auto kind : {cache::PolicyKind::full, cache::PolicyKind::selective,
                          cache::PolicyKind::compressed, policy.kind})
    add(kind);
  return forecasts;
}

}  // namespace sightline::runtime
