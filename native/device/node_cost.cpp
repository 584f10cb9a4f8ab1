#include "device/node_cost.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <string_view>
#include <utility>

namespace sightline::device {
namespace {

struct Name {
  std::string role;
  int32_t layer = -1;
};

bool is_number(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(),
                                      [](unsigned char c) { return std::isdigit(c) != 0; });
}

int32_t number_of(std::string_view text) { return std::atoi(std::string(text).c_str()); }

/// Weights are called `blk.3.ffn_gate.weight`, or `output.weight`; nothing else ends so.
bool is_weight(const ggml_tensor* tensor) {
  constexpr std::string_view kEnding = ".weight";
  const std::string_view name = tensor->name;
  return name.size() > kEnding.size() && name.ends_with(kEnding);
}

Name weight_name(std::string_view name) {
  name = name.substr(0, name.rfind('.'));
  constexpr std::string_view kBlock = "blk.";
  if (!name.starts_with(kBlock)) return {std::string(name)};
  name.remove_prefix(kBlock.size());
  const size_t dot = name.find('.');
  if (dot == std::string_view::npos || !is_number(name.substr(0, dot))) return {std::string(name)};
  return {std::string(name.substr(dot + 1)), number_of(name.substr(0, dot))};
}

/// Results are called `ffn_out-3`, views `Qcur-3 (reshaped)`, tensors of a cache `cache_k_l3`, and
/// what llama.cpp has no name for `node_17`.
Name result_name(std::string_view name) {
  name = name.substr(0, name.find(' '));
  if (name.starts_with("node_") || name.starts_with("leaf_")) return {};
  for (const std::string_view mark : {"-", "_l"}) {
    const size_t at = name.rfind(mark);
    if (at == std::string_view::npos || (mark == "_l" && !name.starts_with("cache_"))) continue;
    const std::string_view layer = name.substr(at + mark.size());
    if (is_number(layer)) return {std::string(name.substr(0, at)), number_of(layer)};
  }
  return {std::string(name)};
}

bool reads_rows_of_weights(const ggml_tensor* node) {
  return node->op == GGML_OP_MUL_MAT || node->op == GGML_OP_MUL_MAT_ID ||
         node->op == GGML_OP_GET_ROWS;
}

Name name_of(const ggml_tensor* node) {
  if (reads_rows_of_weights(node) && is_weight(node->src[0]))
    return weight_name(node->src[0]->name);
  Name name = result_name(node->name);
  if (!name.role.empty()) return name;
  for (const ggml_tensor* source : node->src)
    if (source != nullptr && is_weight(source)) return weight_name(source->name);
  return name;
}

std::string shape_of(const ggml_tensor* tensor) {
  std::string text = ggml_type_name(tensor->type);
  const int dims = ggml_n_dims(tensor);
  for (int d = 0; d < dims; d++) {
    text += d == 0 ? ' ' : 'x';
    text += std::to_string(tensor->ne[d]);
  }
  return text;
}

double elements_of(const ggml_tensor* tensor) {
  return static_cast<double>(ggml_nelements(tensor));
}

double bytes_of(ggml_type type, double elements) {
  return elements * static_cast<double>(ggml_type_size(type)) /
         static_cast<double>(ggml_blck_size(type));
}

double bytes_of(const ggml_tensor* tensor) { return bytes_of(tensor->type, elements_of(tensor)); }

}  // namespace

Operation describe(const ggml_tensor* node, std::string device) {
  auto [role, layer] = name_of(node);
  std::string shape;
  for (const ggml_tensor* source : node->src) {
    if (source == nullptr) continue;
    if (!shape.empty()) shape += ", ";
    shape += shape_of(source);
  }
  shape += " -> ";
  shape += shape_of(node);
  return {.name = ggml_op_desc(node),
          .role = std::move(role),
          .layer = layer,
          .shape = std::move(shape),
          .device = std::move(device),
          .kernel = {},
          .tiers = {}};
}

Cost cost_of(const ggml_tensor* node) {
  const ggml_tensor* a = node->src[0];
  const ggml_tensor* b = node->src[1];
  double bytes = bytes_of(node);
  for (const ggml_tensor* source : node->src)
    if (source != nullptr) bytes += bytes_of(source);
  switch (node->op) {
    case GGML_OP_MUL_MAT:
      return {2 * static_cast<double>(a->ne[0]) * elements_of(node), bytes};
    case GGML_OP_MUL_MAT_ID: {
      const auto experts = static_cast<double>(a->ne[2]);
      const double used = std::min(experts, elements_of(node->src[2]));
      return {2 * static_cast<double>(a->ne[0]) * elements_of(node),
              bytes - bytes_of(a) * (1 - used / experts)};
    }
    case GGML_OP_FLASH_ATTN_EXT:
      return {4 * elements_of(a) * static_cast<double>(b->ne[1]), bytes};
    case GGML_OP_GET_ROWS:
      return {0, bytes - bytes_of(a) + bytes_of(a->type, elements_of(node))};
    case GGML_OP_SET_ROWS:  // a view of all rows
      return {0, bytes_of(a) + bytes_of(b) + bytes_of(node->type, elements_of(a))};
    case GGML_OP_DUP:
    case GGML_OP_CPY:
    case GGML_OP_CONT:
    case GGML_OP_CONCAT:
    case GGML_OP_REPEAT:
    case GGML_OP_PAD:
      return {0, bytes};
    default:
      return {elements_of(node), bytes};
  }
}

}  // namespace sightline::device
