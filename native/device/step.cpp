#include "device/step.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "device/graph.h"
#include "ggml-impl.h"

namespace sightline::device {
namespace {

/// The first of consecutive row numbers, or -1.
int64_t consecutive_from(const std::vector<int64_t>& rows) {
  for (size_t i = 1; i < rows.size(); i++)
    if (rows[i] != rows[0] + static_cast<int64_t>(i)) return -1;
  return rows.empty() ? -1 : rows[0];
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

/// Whether a view shows a cache tensor from its first row on.
bool starts_rows(const ggml_tensor* view) {
  return view->view_offs == 0 && view->ne[3] == 1 && view->nb[0] == sizeof(uint16_t) &&
         view->nb[1] == root(view)->nb[1] &&
         view->nb[2] == static_cast<size_t>(view->ne[0]) * sizeof(uint16_t);
}

}  // namespace

std::optional<cache::Geometry> geometry_of(const ggml_tensor* attention) {
  const ggml_tensor* k = attention->src[1];
  const ggml_tensor* v = attention->src[2];
  if (k->ne[0] != v->ne[0] || k->ne[2] != v->ne[2] || k->ne[0] % attention::kTokenGranule != 0 ||
      k->ne[0] * k->ne[2] != root(k)->ne[0] || v->ne[0] * v->ne[2] != root(v)->ne[0])
    return std::nullopt;
  return cache::Geometry{static_cast<int32_t>(k->ne[2]), static_cast<int32_t>(k->ne[0])};
}

Step::~Step() { abandon(); }

void Step::abandon() {
  for (const auto& [buffer, layer] : begun_) buffer->cache().abandon(layer);
  begun_.clear();
}

void Step::finish() {
  std::set<CacheBuffer*> grown;
  for (const auto& [at, appended] : appended_) {
    if (begun_.contains(at)) at.first->cache().commit(at.second);
    if (appended.count > 1) grown.insert(at.first);
  }
  begun_.clear();
  // Our own program says when a prefill is over.
  if (context_.one_sequence) return;
  for (CacheBuffer* buffer : grown) buffer->cache().compact();
}

Failure Step::prepare(ggml_cgraph* graph) {
  std::vector<ggml_tensor*> appends;
  std::vector<ggml_tensor*> attentions;
  for (int i = 0; i < graph->n_nodes; i++) {
    ggml_tensor* node = graph->nodes[i];
    if (is_view(node)) continue;
    const auto touches = [&](const ggml_tensor* tensor) {
      return tensor != nullptr && owned_cache(tensor).has_value();
    };
    if (node->op == GGML_OP_SET_ROWS && touches(node)) {
      appends.push_back(node);
    } else if (node->op == GGML_OP_FLASH_ATTN_EXT && touches(node->src[1]) &&
               touches(node->src[2])) {
      attentions.push_back(node);
    } else if (std::any_of(std::begin(node->src), std::end(node->src), touches) || touches(node)) {
      return refuse(std::string(ggml_op_desc(node)) + " of its tensors");
    }
  }

  Failure failure = Failure::none;
  const auto each = [&](const std::vector<ggml_tensor*>& nodes, auto plan) {
    for (ggml_tensor* node : nodes) {
      if (failure != Failure::none) return;
      failure = (this->*plan)(node);
    }
  };
  each(attentions, &Step::configure);
  each(appends, &Step::read_rows);
  each(attentions, &Step::read_sight);
  if (failure == Failure::none) failure = begin();
  if (failure != Failure::none) {
    abandon();
    return failure;
  }
  for (ggml_tensor* node : appends) add_append(node);
  for (ggml_tensor* node : attentions) add_attention(node);
  return Failure::none;
}

Failure Step::refuse(std::string what) {
  unsupported_ = std::move(what);
  return Failure::unsupported_operation;
}

Failure Step::configure(ggml_tensor* node) {
  const ggml_tensor* k = node->src[1];
  const ggml_tensor* v = node->src[2];
  const auto keys = owned_cache(k);
  const auto values = owned_cache(v);
  const bool expected = keys->keys && !values->keys && keys->layer == values->layer &&
                        keys->buffer == values->buffer && node->src[0]->type == GGML_TYPE_F32 &&
                        node->src[0]->ne[2] % k->ne[2] == 0 && node->src[0]->ne[3] == 1 &&
                        node->src[0]->nb[0] == sizeof(float) && starts_rows(k) && starts_rows(v);
  const auto geometry = geometry_of(node);
  return expected && geometry && context_.takes_head_dim(geometry->head_dim) &&
                 keys->buffer->configure(keys->layer, *geometry)
             ? Failure::none
             : refuse("attention of this shape");
}

Failure Step::read_rows(ggml_tensor* node) {
  const auto [buffer, layer, keys] = *owned_cache(node);
  const ggml_tensor* source = node->src[0];
  const ggml_tensor* rows = node->src[1];
  const auto geometry = buffer->geometry(layer);
  const int64_t count = source->ne[1];
  if (!geometry || source->type != GGML_TYPE_F32 || source->nb[0] != sizeof(float) ||
      source->ne[2] != 1 || source->ne[3] != 1 || rows->ne[0] != count ||
      source->ne[0] != int64_t{geometry->kv_heads} * geometry->head_dim ||
      node->ne[0] != source->ne[0])
    return refuse("keys or values of this shape");
  const int64_t first = consecutive_from(context_.inputs.row_numbers(rows));
  if (first < 0 || first + count > node->ne[1])
    return refuse("tokens that are not one after another");
  Appended& appended =
      appended_
          .try_emplace(Layer{buffer, layer}, Appended{static_cast<int32_t>(first),
                                                      static_cast<int32_t>(count), false, false})
          .first->second;
  bool& seen = keys ? appended.keys : appended.values;
  if (seen || appended.first != first || appended.count != count)
    return refuse("keys and values of different tokens");
  seen = true;
  return Failure::none;
}

Failure Step::read_sight(ggml_tensor* node) {
  const ggml_tensor* mask = node->src[3];
  const auto [buffer, layer, keys] = *owned_cache(node->src[1]);
  if (!sights_.contains(mask)) {
    auto sight = context_.inputs.mask(mask, node->src[0]->ne[1], node->src[1]->ne[1]);
    if (!sight) return refuse("a mask of this kind");
    sights_.emplace(mask, std::move(*sight));
  }
  const Sight& sight = sights_.at(mask);
  if (static_cast<int64_t>(sight.visible.size()) != node->src[0]->ne[1])
    return refuse("one mask for attentions of different lengths");
  const auto appended = appended_.find({buffer, layer});
  const int32_t end = appended != appended_.end() ? appended->second.first + appended->second.count
                                                  : buffer->length(layer);
  const bool expected = sight.end <= end && (sight.whole || context_.one_sequence);
  return expected ? Failure::none : refuse("several sequences, or one with tokens left out");
}

cache::Status Step::begin_all() {
  for (const auto& [at, appended] : appended_) {
    const auto& [buffer, layer] = at;
    cache::Status status = cache::Status::ok;
    if (appended.first < buffer->length(layer)) status = buffer->rewind(appended.first);
    if (status == cache::Status::ok)
      status = buffer->cache().begin(layer, appended.first, appended.count);
    if (status != cache::Status::ok) return status;
    begun_.insert(at);
  }
  return cache::Status::ok;
}

/// Makes room in every layer that gets rows.
Failure Step::begin() {
  for (const auto& [at, appended] : appended_) {
    const auto& [buffer, layer] = at;
    const int32_t length = buffer->length(layer);
    if (!appended.keys || !appended.values) return refuse("keys without values");
    if (appended.first > length) return refuse("several sequences, or one with tokens left out");
  }
  cache::Status status = begin_all();
  if (status == cache::Status::exhausted) {
    abandon();
    bool more = true;
    for (const auto& [at, appended] : appended_)
      more = more && at.first->cache().make_room(appended.first + appended.count);
    if (more) status = begin_all();
  }
  if (status == cache::Status::exhausted) return Failure::cache_exhausted;
  if (status == cache::Status::refused) return Failure::unsupported_operation;
  return Failure::none;
}

void Step::add_append(ggml_tensor* node) {
  const auto [buffer, layer, keys] = *owned_cache(node);
  const ggml_tensor* source = node->src[0];
  appends_.push_back({node,
                      &buffer->cache(),
                      layer,
                      *buffer->geometry(layer),
                      keys,
                      {static_cast<const float*>(source->data), source->nb[1] / sizeof(float),
                       static_cast<int>(source->ne[1])}});
}

void Step::add_attention(ggml_tensor* node) {
  const ggml_tensor* q = node->src[0];
  const ggml_tensor* mask = node->src[3];
  const ggml_tensor* sinks = node->src[4];
  const auto [buffer, layer, keys] = *owned_cache(node->src[1]);
  const cache::Geometry geometry = *buffer->geometry(layer);
  const Sight& sight = sights_.at(mask);

  auto found = std::make_unique<AttentionNode>();
  const attention::Shape shape{static_cast<int>(q->ne[1]), static_cast<int>(q->ne[2]),
                               geometry.kv_heads, geometry.head_dim};
  found->node = node;
  found->slopes = alibi_slopes(parameter(node, 1), shape.heads);
  found->problem = {
      .shape = shape,
      .q = {static_cast<const float*>(q->data), static_cast<int64_t>(q->nb[1] / sizeof(float)),
            static_cast<int64_t>(q->nb[2] / sizeof(float))},
      // ggml gives the result as [head_dim, heads, tokens], contiguous
      .out = {static_cast<float*>(node->data), int64_t{shape.heads} * shape.head_dim,
              shape.head_dim},
      .scale = parameter(node, 0),
      .softcap = parameter(node, 2),
      .sinks = sinks != nullptr ? static_cast<const float*>(sinks->data) : nullptr,
      .slopes = found->slopes.empty() ? nullptr : found->slopes.data(),
      .visible = sight.visible.data(),
      .mask = sight.plain ? nullptr : static_cast<const uint16_t*>(mask->data),
      .mask_stride = mask != nullptr ? static_cast<int64_t>(mask->nb[1] / sizeof(uint16_t)) : 0,
      .blocks = buffer->cache().blocks(layer),
      .received = buffer->cache().received(layer),
  };
  attentions_.push_back(std::move(found));
}

}  // namespace sightline::device
