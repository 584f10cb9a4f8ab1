#pragma once
// One graph: finds the nodes that are ours, and brings the cache to its next state or back to the
// one before. What runs the nodes is cpu_run.h or cuda_run.h.

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "attention/attention.h"
#include "attention/format/fp16.h"
#include "device/cache_buffer.h"
#include "device/device.h"
#include "device/inputs.h"
#include "ggml-backend.h"
#include "ggml.h"

namespace sightline::device {

/// What a step works on; outlives it.
struct StepContext {
  const Inputs& inputs;
  bool (*takes_head_dim)(int head_dim);
  bool one_sequence;  // every token sees all before it; else that is checked
};

/// What FLASH_ATTN_EXT on views of cache tensors says of the layer; nothing where that is not a
/// shape that the cache holds.
std::optional<cache::Geometry> geometry_of(const ggml_tensor* attention);

/// A SET_ROWS of ours.
struct AppendNode {
  ggml_tensor* node;
  cache::Sequence* cache;
  int32_t layer;
  cache::Geometry geometry;
  bool keys;             // else values
  attention::Rows rows;  // of KV head 0

  cache::Side side() const { return keys ? cache::Side::keys : cache::Side::values; }
};

/// A FLASH_ATTN_EXT of ours.
struct AttentionNode {
  ggml_tensor* node;
  attention::Problem problem;
  std::vector<float> slopes;  // the problem's
};

class Step {
 public:
  explicit Step(const StepContext& context) : context_(context) {}
  Step(const Step&) = delete;
  Step& operator=(const Step&) = delete;
  /// Abandons what `finish` was not called for.
  ~Step();

  /// Finds our nodes and makes room in the cache. Where it fails, the cache is as before but for
  /// tokens that the graph would have written over.
  [[nodiscard]] Failure prepare(ggml_cgraph* graph);
  /// What is to be run, in the graph's order. Addresses are those that the graph has.
  const std::vector<AppendNode>& appends() const { return appends_; }
  const std::vector<std::unique_ptr<AttentionNode>>& attentions() const { return attentions_; }
  /// The graph has run to its end, or will: the step's tokens are in the cache.
  void finish();
  /// What the cache cannot do, where `prepare` found such an operation.
  const std::string& unsupported() const { return unsupported_; }

 private:
  using Layer = std::pair<CacheBuffer*, int32_t>;
  /// Rows that a layer gets in this step.
  struct Appended {
    int32_t first;
    int32_t count;
    bool keys, values;
  };

  // In this order; the cache changes from `begin` on.
  Failure configure(ggml_tensor* attention);
  Failure read_rows(ggml_tensor* set_rows);
  Failure read_sight(ggml_tensor* attention);
  Failure begin();
  cache::Status begin_all();
  void abandon();
  Failure refuse(std::string what);
  void add_append(ggml_tensor* set_rows);
  void add_attention(ggml_tensor* attention);

  StepContext context_;
  std::string unsupported_;
  std::map<Layer, Appended> appended_;
  std::set<Layer> begun_;
  std::map<const ggml_tensor*, Sight> sights_;  // by mask
  std::vector<AppendNode> appends_;
  std::vector<std::unique_ptr<AttentionNode>> attentions_;
};

}  // namespace sightline::device
