#include "cache/sequence.h"

#include <algorithm>
#include <cassert>
#include <limits>
#include <utility>

namespace sightline::cache {

Sequence::Sequence(Policy policy, Pool& pool)
    : common_{policy, Schedule(policy, {}), pool, kNoHold, {}} {
  assert(!fault_of(common_.policy));
}

Sequence::~Sequence() { truncate(0); }

std::vector<Geometry> Sequence::geometries() const {
  std::vector<Geometry> geometries;
  for (const Layer& layer : layers_) geometries.push_back(layer.geometry());
  return geometries;
}

void Sequence::set_policy(const Policy& policy) {
  assert(!fault_of(policy));
  truncate(0);
  const std::vector<Layer> before = std::exchange(layers_, {});
  common_.policy = policy;
  common_.schedule = Schedule(policy, {});
  common_.hold = kNoHold;
  for (int32_t i = 0; i < static_cast<int32_t>(before.size()); i++) {
    const Layer& layer = before[static_cast<size_t>(i)];
    if (layer.configured()) (void)configure(i, layer.geometry(), layer.memory());
  }
}

bool Sequence::configure(int32_t index, Geometry geometry, Memory& memory) {
  while (layers() <= index) layers_.emplace_back(common_, layers());
  Layer& layer = layers_[static_cast<size_t>(index)];
  if (!layer.configured()) {
    layer.configure(geometry, memory);
    common_.schedule = Schedule(common_.policy, geometries());
  }
  return layer.geometry() == geometry;
}

Status Sequence::begin(int32_t layer, int32_t first, int32_t count) {
  return layers_[static_cast<size_t>(layer)].begin(first, count);
}

void Sequence::store_keys(int32_t layer, int32_t kv_head, attention::Rows rows) {
  layers_[static_cast<size_t>(layer)].store(Side::keys, kv_head, rows);
}

void Sequence::store_values(int32_t layer, int32_t kv_head, attention::Rows rows) {
  layers_[static_cast<size_t>(layer)].store(Side::values, kv_head, rows);
}

void Sequence::write(int32_t layer, Side side, int32_t kv_head, attention::Rows rows) {
  layers_[static_cast<size_t>(layer)].write(side, kv_head, rows);
}

void Sequence::code(int32_t layer, Side side, int32_t kv_head) {
  layers_[static_cast<size_t>(layer)].code(side, kv_head);
}

void Sequence::commit(int32_t layer) { layers_[static_cast<size_t>(layer)].commit(); }

void Sequence::abandon(int32_t layer) { layers_[static_cast<size_t>(layer)].abandon(); }

bool Sequence::make_room(int32_t end) {
  if (common_.policy.kind != PolicyKind::automatic) return false;
  for (Layer& layer : layers_)
    if (layer.configured() && layer.settle(end) != Status::ok) return false;
  return true;
}

std::span<const attention::Block> Sequence::blocks(int32_t layer) const {
  return layers_[static_cast<size_t>(layer)].blocks();
}

attention::Received Sequence::received(int32_t layer) {
  return layers_[static_cast<size_t>(layer)].received();
}

int32_t Sequence::step_limit() const { return common_.step_limit(length()); }

int32_t Sequence::revocable_step() const {
  if (common_.policy.needs_attention()) return 1;
  int32_t step = step_limit();
  for (const Layer& layer : layers_)
    if (layer.configured()) step = std::min(step, layer.revocable_end() - layer.length());
  return step;
}

void Sequence::set_kind_weights(int32_t first, std::span<const float> weights) {
  const size_t end = static_cast<size_t>(first) + weights.size();
  std::vector<float>& all = common_.kind_weights;
  if (all.size() < end) all.resize(end, kDefaultKindWeight);
  std::transform(weights.begin(), weights.end(), all.begin() + first,
                 [](float weight) { return weight > 0 ? std::min(weight, 1.0f) : 0.0f; });
}

int32_t Sequence::truncate(int32_t length, Rollback rollback) {
  length = std::clamp(length, 0, this->length());
  int32_t exact = length;
  bool reopens = rollback == Rollback::reopen;
  for (const Layer& layer : layers_) {
    if (!layer.configured()) continue;
    exact = std::min(exact, layer.kept_exactly(length));
    reopens = reopens && layer.can_reopen(length);
  }
  int32_t kept = reopens ? length : exact;
  for (Layer& layer : layers_) {
    if (!layer.configured()) continue;
    if (reopens && kept == length && !layer.reopen(length)) kept = exact;
  }
  // Where the memory to reopen a block has run out, the layers before agree with the rest.
  for (Layer& layer : layers_)
    if (layer.configured()) layer.cut(kept);
  common_.kind_weights.resize(std::min(common_.kind_weights.size(), static_cast<size_t>(kept)));
  return kept;
}

void Sequence::hold(int32_t length) {
  common_.hold = length;
  for (Layer& layer : layers_) layer.hold();
}

std::unique_ptr<Sequence> Sequence::fork(int32_t length) const {
  auto other = std::make_unique<Sequence>(common_.policy, common_.pool);
  other->common_.hold = common_.hold;
  other->common_.schedule = common_.schedule;
  other->common_.kind_weights = common_.kind_weights;
  for (int32_t i = 0; i < layers(); i++)
    other->layers_.emplace_back(other->common_, i).share(layer(i));
  other->truncate(length);
  other->hold(kNoHold);
  return other;
}

Status Sequence::set_budget(size_t bytes) {
  common_.policy.budget = bytes;
  common_.schedule = Schedule(common_.policy, geometries());
  Status status = Status::ok;
  for (Layer& layer : layers_)
    if (status == Status::ok) status = layer.settle(layer.length());
  return status;
}

void Sequence::compact() {
  for (Layer& layer : layers_) layer.compact();
}

int32_t Sequence::length() const {
  int32_t length = std::numeric_limits<int32_t>::max();
  for (const Layer& layer : layers_)
    if (layer.configured()) length = std::min(length, layer.length());
  return length == std::numeric_limits<int32_t>::max() ? 0 : length;
}

Account Sequence::account() const {
  Account account;
  account.tokens = length();
  const std::vector<Level> levels = ladder(common_.policy);
  std::vector<Account::Coded> coded(levels.size());
  const Layer* any = nullptr;
  int64_t dropped = 0;
  int64_t configured = 0;
  for (const Layer& layer : layers_) {
    if (!layer.configured()) continue;
    any = &layer;
    configured++;
    account.sink.bytes += layer.sink_bytes();
    for (size_t level = 0; level < levels.size(); level++)
      coded[level].bytes += layer.level_bytes(static_cast<int32_t>(level));
    dropped += layer.dropped_tokens();
    account.degraded_tokens = std::max(account.degraded_tokens, layer.degraded_tokens());
    account.fp16_bytes += static_cast<size_t>(layer.length()) * fp16_token_bytes(layer.geometry());
  }
  if (any == nullptr) return account;
  account.sink.tokens = std::min<int64_t>(account.tokens, common_.policy.sink);
  account.dropped_tokens = (dropped + configured / 2) / configured;
  int64_t behind = 0;  // tokens of blocks at the level below or lower
  for (size_t level = levels.size() - 1; level > 0; level--) {
    const int64_t reached =
        int64_t{any->blocks_at(static_cast<int32_t>(level))} * attention::kBlockTokens;
    coded[level].tokens = reached - behind;
    behind = reached;
    if (!levels[level]) continue;
    if (common_.policy.needs_attention()) coded[level].tokens -= account.dropped_tokens;
    coded[level].tier = *levels[level];
    if (coded[level].bytes > 0) account.coded.push_back(coded[level]);
  }
  account.window = {account.tokens - account.sink.tokens - behind, coded[0].bytes};
  return account;
}

size_t Sequence::shared_bytes() const {
  size_t sum = 0;
  for (const Layer& layer : layers_) sum += layer.shared_bytes();
  return sum;
}

bool Sequence::adopt(int32_t layer, const attention::Block& block, Entry entry) {
  return layers_[static_cast<size_t>(layer)].adopt(block, std::move(entry));
}

}  // namespace sightline::cache
