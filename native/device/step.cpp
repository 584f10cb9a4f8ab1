#include "device/step.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "device/cache_tensor.h"
#include "ggml-impl.h"

namespace sightline::device {
namespace {

constexpr uint16_t kMinusInfinity = 0xfc00;

/// Only gives another view of the same bytes.
bool is_view(const ggml_tensor* node) {
  switch (node->op) {
    case GGML_OP_NONE:
    case GGML_OP_VIEW:
    case GGML_OP_RESHAPE:
    case GGML_OP_PERMUTE:
    case GGML_OP_TRANSPOSE:
      return true;
    default:
      return false;
  }
}

/// Set before the graph runs, so it may be read while the graph is prepared.
bool is_input(const ggml_tensor* tensor) { return tensor->op == GGML_OP_NONE; }

/// The first of consecutive row numbers, or -1.
int64_t consecutive_from(const ggml_tensor* rows) {
  const auto row = [&](int64_t i) -> int64_t {
    return rows->type == GGML_TYPE_I64 ? static_cast<const int64_t*>(rows->data)[i]
                                       : static_cast<const int32_t*>(rows->data)[i];
  };
  for (int64_t i = 1; i < rows->ne[0]; i++)
    if (row(i) != row(0) + i) return -1;
  return row(0);
}

float parameter(const ggml_tensor* node, int index) {
  float value;
  std::memcpy(&value, node->op_params + index, sizeof value);
  return value;
}

/// ALiBi slopes (arXiv 2108.12409, section 3, for any number of heads as in ggml's soft_max_ext).
std::vector<float> alibi_slopes(float max_bias, int heads) {
  std::vector<float> slopes;
  if (max_bias <= 0.0f) return slopes;
  const int power = 1 << static_cast<int>(std::floor(std::log2(heads)));
  const auto base = static_cast<float>(power);
  for (int h = 0; h < heads; h++) {
    slopes.push_back(
        h < power ? std::exp2(-max_bias / base * static_cast<float>(h + 1))
                  : std::exp2(-max_bias / 2.0f / base * static_cast<float>(2 * (h - power) + 1)));
  }
  return slopes;
}

}  // namespace

Step::~Step() {
  for (const Saved& saved : saved_) {
    saved.node->op = saved.op;
    std::memcpy(saved.node->op_params, saved.params, sizeof saved.params);
  }
  for (const int32_t layer : begun_) context_.cache.abandon(layer);
}

void Step::finish() {
  for (const int32_t layer : begun_) context_.cache.commit(layer);
  begun_.clear();
}

Failure Step::prepare(ggml_cgraph* graph) {
  std::vector<ggml_tensor*> appends;
  std::vector<ggml_tensor*> attentions;
  for (int i = 0; i < graph->n_nodes; i++) {
    ggml_tensor* node = graph->nodes[i];
    if (is_view(node)) continue;
    const auto touches = [&](const ggml_tensor* tensor) {
      return tensor != nullptr && owned_cache(tensor, context_.capacity).has_value();
    };
    if (node->op == GGML_OP_SET_ROWS && touches(node)) {
      appends.push_back(node);
    } else if (node->op == GGML_OP_FLASH_ATTN_EXT && touches(node->src[1]) &&
               touches(node->src[2])) {
      attentions.push_back(node);
    } else if (std::any_of(std::begin(node->src), std::end(node->src), touches) || touches(node)) {
      return Failure::unsupported_operation;
    }
  }

  Failure failure = Failure::none;
  const auto each = [&](const std::vector<ggml_tensor*>& nodes, auto plan) {
    for (ggml_tensor* node : nodes)
      if (failure == Failure::none) failure = (this->*plan)(node);
  };
  each(attentions, &Step::configure);
  each(appends, &Step::plan_append);
  each(attentions, &Step::plan_attention);
  if (failure != Failure::none) return failure;

  size_t floats = 0;
  for (const auto& planned : planned_) floats = std::max(floats, planned->plan.workspace_floats());
  float* workspace = context_.workspace.reserve(floats);
  for (size_t i = 0; i < appends.size(); i++) replace(appends[i], run_append, appends_[i].get());
  for (const auto& planned : planned_) {
    attentions_.push_back(std::make_unique<attention::cpu::Attention>(
        context_.kernel, planned->plan, planned->problem, workspace));
    replace(planned->node, run_attention, attentions_.back().get());
  }
  return Failure::none;
}

Failure Step::configure(const ggml_tensor* node) {
  const ggml_tensor* k = node->src[1];
  const ggml_tensor* v = node->src[2];
  const auto keys = owned_cache(k, context_.capacity);
  const auto values = owned_cache(v, context_.capacity);
  const bool expected = keys->keys && !values->keys && keys->layer == values->layer &&
                        k->ne[0] == v->ne[0] && k->ne[2] == v->ne[2] && k->ne[3] == 1 &&
                        k->ne[0] % attention::kTokenGranule == 0 &&
                        node->src[0]->type == GGML_TYPE_F32 && node->src[0]->ne[2] % k->ne[2] == 0;
  if (!expected) return Failure::unsupported_operation;
  const cache::Geometry geometry{static_cast<int32_t>(k->ne[2]), static_cast<int32_t>(k->ne[0])};
  geometry_[keys->layer] = geometry;
  return context_.cache.configure(keys->layer, geometry) ? Failure::none
                                                         : Failure::unsupported_operation;
}

Failure Step::plan_append(ggml_tensor* node) {
  const auto tensor = owned_cache(node, context_.capacity);
  const ggml_tensor* source = node->src[0];
  const ggml_tensor* rows = node->src[1];
  const auto geometry = geometry_.find(tensor->layer);
  const int64_t count = source->ne[1];
  if (geometry == geometry_.end() || source->type != GGML_TYPE_F32 || !is_input(rows) ||
      source->nb[0] != sizeof(float) || source->ne[2] != 1 || rows->ne[0] != count ||
      source->ne[0] != int64_t{geometry->second.kv_heads} * geometry->second.head_dim)
    return Failure::unsupported_operation;

  if (!begun_.contains(tensor->layer)) {
    const int64_t first = consecutive_from(rows);
    if (first < 0) return Failure::unsupported_operation;
    switch (context_.cache.begin(tensor->layer, static_cast<int32_t>(first),
                                 static_cast<int32_t>(count))) {
      case cache::Status::ok:
        begun_.insert(tensor->layer);
        break;
      case cache::Status::exhausted:
        return Failure::cache_exhausted;
      case cache::Status::refused:
        return Failure::unsupported_operation;
    }
  }
  appends_.push_back(
      std::make_unique<Append>(Append{&context_.cache,
                                      tensor->layer,
                                      geometry->second.kv_heads,
                                      geometry->second.head_dim,
                                      tensor->keys,
                                      {static_cast<const float*>(source->data),
                                       source->nb[1] / sizeof(float), static_cast<int>(count)}}));
  return Failure::none;
}

/// The last position a query sees, and whether anything but 0 is added up to there.
const Step::Sight* Step::sight_of(const ggml_tensor* mask, int64_t queries, int32_t length) {
  const auto known = sights_.find(mask);
  if (known != sights_.end()) return &known->second;
  Sight sight{std::vector<int32_t>(static_cast<size_t>(queries), length), true};
  if (mask != nullptr) {
    const bool readable = is_input(mask) && mask->type == GGML_TYPE_F16 && mask->ne[1] >= queries &&
                          mask->ne[2] == 1 && mask->ne[3] == 1;
    if (!readable) return nullptr;
    for (int64_t i = 0; i < queries; i++) {
      const auto* row = reinterpret_cast<const uint16_t*>(static_cast<const char*>(mask->data) +
                                                          i * static_cast<int64_t>(mask->nb[1]));
      int64_t visible = std::min<int64_t>(mask->ne[0], length);
      while (visible > 0 && row[visible - 1] == kMinusInfinity) visible--;
      uint16_t added = 0;
      for (int64_t j = 0; j < visible; j++) added |= row[j];
      sight.visible[static_cast<size_t>(i)] = static_cast<int32_t>(visible);
      sight.plain = sight.plain && added == 0;
    }
  }
  return &sights_.emplace(mask, std::move(sight)).first->second;
}

Failure Step::plan_attention(ggml_tensor* node) {
  const ggml_tensor* q = node->src[0];
  const ggml_tensor* mask = node->src[3];
  const ggml_tensor* sinks = node->src[4];
  const int32_t layer = owned_cache(node->src[1], context_.capacity)->layer;
  const cache::Geometry geometry = geometry_.at(layer);
  const auto blocks = context_.cache.blocks(layer);
  const int32_t length = blocks.empty() ? 0 : blocks.back().first + blocks.back().tokens;
  const Sight* sight = sight_of(mask, q->ne[1], length);
  if (sight == nullptr || q->ne[3] != 1 || q->nb[0] != sizeof(float))
    return Failure::unsupported_operation;

  auto planned = std::make_unique<Planned>();
  const attention::Shape shape{static_cast<int>(q->ne[1]), static_cast<int>(q->ne[2]),
                               geometry.kv_heads, geometry.head_dim};
  planned->node = node;
  planned->slopes = alibi_slopes(parameter(node, 1), shape.heads);
  planned->plan = attention::cpu::Plan::make(shape, sight->visible, blocks, context_.threads);
  planned->problem = {
      .shape = shape,
      .q = {static_cast<const float*>(q->data), static_cast<int64_t>(q->nb[1] / sizeof(float)),
            static_cast<int64_t>(q->nb[2] / sizeof(float))},
      // ggml gives the result as [head_dim, heads, tokens], contiguous
      .out = {static_cast<float*>(node->data), int64_t{shape.heads} * shape.head_dim,
              shape.head_dim},
      .scale = parameter(node, 0),
      .softcap = parameter(node, 2),
      .sinks = sinks != nullptr ? static_cast<const float*>(sinks->data) : nullptr,
      .slopes = planned->slopes.empty() ? nullptr : planned->slopes.data(),
      .visible = sight->visible.data(),
      .mask = sight->plain ? nullptr : static_cast<const uint16_t*>(mask->data),
      .mask_stride = mask != nullptr ? static_cast<int64_t>(mask->nb[1] / sizeof(uint16_t)) : 0,
      .blocks = blocks,
  };
  planned_.push_back(std::move(planned));
  return Failure::none;
}

void Step::replace(ggml_tensor* node, ggml_custom_op_t run, void* user) {
  Saved saved{node, node->op, {}};
  std::memcpy(saved.params, node->op_params, sizeof saved.params);
  saved_.push_back(saved);
  const ggml_custom_op_params params{run, GGML_N_TASKS_MAX, user};
  static_assert(sizeof params <= sizeof saved.params);
  std::memcpy(node->op_params, &params, sizeof params);
  node->op = GGML_OP_CUSTOM;
}

void Step::run_append(ggml_tensor*, int thread, int threads, void* user) {
  const Append& append = *static_cast<const Append*>(user);
  for (int32_t head = thread; head < append.kv_heads; head += threads) {
    attention::Rows rows = append.rows;
    rows.data += static_cast<size_t>(head) * static_cast<size_t>(append.head_dim);
    if (append.keys) {
      append.cache->store_keys(append.layer, head, rows);
    } else {
      append.cache->store_values(append.layer, head, rows);
    }
  }
}

void Step::run_attention(ggml_tensor*, int thread, int, void* user) {
  static_cast<attention::cpu::Attention*>(user)->work(thread);
}

}  // namespace sightline::device
