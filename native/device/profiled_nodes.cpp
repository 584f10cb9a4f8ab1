#include "device/profiled_nodes.h"

#include <algorithm>
#include <map>
#include <set>

#include "attention/format/format.h"
#include "device/cache_tensor.h"
#include "device/graph.h"
#include "device/node_cost.h"
#include "ggml-impl.h"

namespace sightline::device {
namespace {

using attention::Copy;

/// The names of tiers, in the order that they were first seen in.
class TierMix {
 public:
  explicit TierMix(char separator) : separator_(separator) {}

  void add(const Copy& copy) {
    const std::string name = attention::name_of(copy.tier);
    if (!seen_.insert(name).second) return;
    if (!text_.empty()) text_ += separator_;
    text_ += name;
  }
  const std::string& text() const { return text_; }

 private:
  char separator_;
  std::set<std::string> seen_;
  std::string text_;
};

size_t side_bytes(cache::Geometry geometry, const Copy& copy, bool keys) {
  const attention::Extent extent = copy.extent(geometry.head_dim);
  const size_t key_bytes = attention::values_offset(copy.tier, extent);
  const size_t bytes = keys ? key_bytes : attention::part_bytes(copy.tier, extent) - key_bytes;
  return bytes * static_cast<size_t>(geometry.kv_heads);
}

double width_of(cache::Geometry geometry) {
  return static_cast<double>(geometry.kv_heads) * geometry.head_dim;
}

std::string rows_text(cache::Geometry geometry, int rows) {
  return std::to_string(geometry.kv_heads) + " KV heads of " + std::to_string(geometry.head_dim) +
         ", tokens: " + std::to_string(rows);
}

void describe_append(ProfiledNode& node, const AppendNode& append, const ProfiledPlace& place) {
  const double elements = width_of(append.geometry) * append.rows.count;
  node.append = &append;
  node.operation.name = "APPEND";
  node.operation.kernel = place.cache_kernel;
  node.operation.tiers = "fp16";
  node.operation.shape = rows_text(append.geometry, append.rows.count);
  node.cost = {0, elements * (sizeof(float) + sizeof(uint16_t))};

  Cost coding;
  int32_t coded = 0;
  TierMix tiers('>');
  append.cache->layer(append.layer).each_recoding([&](const cache::Recoding& recoding) {
    tiers.add(*recoding.from);
    tiers.add(*recoding.to);
    coded += recoding.to->tokens;
    for (const Copy* copy : {recoding.from, recoding.to})
      coding.bytes += static_cast<double>(side_bytes(append.geometry, *copy, append.keys));
  });
  if (coded == 0) return;
  coding.flops = width_of(append.geometry) * coded;
  Operation operation = node.operation;
  operation.name = "CODE";
  operation.tiers = tiers.text();
  operation.shape = rows_text(append.geometry, coded);
  node.coding = {std::move(operation), coding};
}

void describe_attention(ProfiledNode& node, const AttentionNode& attention,
                        const ProfiledPlace& place) {
  const attention::Problem& problem = attention.problem;
  const attention::Shape& shape = problem.shape;
  const cache::Geometry geometry{shape.kv_heads, shape.head_dim};
  double seen = 0;
  std::map<std::string, TierBytes> read;
  TierMix tiers('+');
  for (const attention::Block& block : problem.blocks) {
    std::set<const Copy*> copies;
    for (int query = 0; query < shape.tokens; query++) {
      const int32_t visible = problem.visible[query];
      const Copy& copy = block.copy(visible);
      if (visible <= block.first || copy.data == nullptr) continue;
      copies.insert(&copy);
      seen += std::min(copy.tokens, visible - block.first);
    }
    for (const Copy* copy : copies) {
      tiers.add(*copy);
      TierBytes& tier =
          read.try_emplace(attention::name_of(copy->tier), TierBytes{copy->tier, 0}).first->second;
      tier.bytes += cache::slot_bytes(geometry, *copy);
    }
  }
  const double elements = static_cast<double>(shape.heads) * shape.head_dim;
  node.operation.name = "ATTEND";
  node.operation.role = "attention";
  node.operation.layer = parse_cache_name(root(attention.node->src[1])->name)->layer;
  node.operation.kernel = place.attention_kernel;
  node.operation.tiers = tiers.text();
  // How many tokens there are is another number at every step.
  node.operation.shape =
      std::to_string(shape.heads) + " heads, " + rows_text(geometry, shape.tokens);
  node.cost = {4 * elements * seen, 2 * elements * shape.tokens * sizeof(float)};
  for (const auto& [name, tier] : read) {
    node.cost.bytes += static_cast<double>(tier.bytes);
    node.cost.cache.push_back(tier);
  }
}

}  // namespace

std::vector<ProfiledNode> profiled_nodes(const ggml_cgraph* graph, const Step& step,
                                         const ProfiledPlace& place) {
  std::map<const ggml_tensor*, const AppendNode*> appends;
  std::map<const ggml_tensor*, const AttentionNode*> attentions;
  for (const AppendNode& append : step.appends()) appends[append.node] = &append;
  for (const auto& attention : step.attentions()) attentions[attention->node] = attention.get();
  std::vector<ProfiledNode> nodes;
  for (int i = 0; i < graph->n_nodes; i++) {
    const ggml_tensor* tensor = graph->nodes[i];
    if (is_view(tensor)) continue;
    ProfiledNode node{i, describe(tensor, place.device), {}, nullptr, std::nullopt};
    if (const auto append = appends.find(tensor); append != appends.end()) {
      describe_append(node, *append->second, place);
    } else if (const auto attention = attentions.find(tensor); attention != attentions.end()) {
      describe_attention(node, *attention->second, place);
    } else {
      node.cost = cost_of(tensor);
    }
    nodes.push_back(std::move(node));
  }
  return nodes;
}

ggml_status compute_alone(ggml_backend_t inner, ggml_cgraph* graph, int index) {
  ggml_cgraph alone = ggml_graph_view(graph, index, index + 1);
  return ggml_backend_graph_compute(inner, &alone);
}

ggml_status compute_each(ggml_backend_t inner, ggml_cgraph* graph,
                         const std::vector<ProfiledNode>& nodes, Profile& profile) {
  for (const ProfiledNode& node : nodes) {
    const ggml_status status = profile.time(
        node.operation, node.cost, [&] { return compute_alone(inner, graph, node.index); });
    if (status != GGML_STATUS_SUCCESS) return status;
  }
  return GGML_STATUS_SUCCESS;
}

}  // namespace sightline::device
