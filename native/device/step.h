#pragma once
// One graph: finds the nodes that are ours, runs them inside ggml's graph computation, and brings
// the cache to its next state or back to the one before.

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "attention/cpu/attend.h"
#include "device/cache_buffer.h"
#include "device/device.h"
#include "device/inputs.h"
#include "ggml-backend.h"
#include "ggml.h"

namespace sightline::device {

/// What a step works on; outlives it.
struct StepContext {
  const attention::cpu::Kernel& kernel;
  attention::cpu::Workspace& workspace;
  int threads;
  bool one_sequence;  // every token sees all before it; else that is checked
};

/// What FLASH_ATTN_EXT on views of cache tensors says of the layer; nothing where that is not a
/// shape that the cache holds.
std::optional<cache::Geometry> geometry_of(const ggml_tensor* attention);

class Step {
 public:
  explicit Step(const StepContext& context) : context_(context) {}
  Step(const Step&) = delete;
  Step& operator=(const Step&) = delete;
  /// Gives the nodes back to ggml as they were; abandons what `finish` was not called for.
  ~Step();

  /// Finds our nodes, makes room in the cache and turns the nodes into custom operations. Where it
  /// fails, the cache is as before but for tokens that the graph would have written over.
  [[nodiscard]] Failure prepare(ggml_cgraph* graph);
  /// The graph has run to its end: the step's tokens are in the cache.
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
  struct Append {
    cache::Sequence* cache;
    int32_t layer;
    int32_t kv_heads;
    int32_t head_dim;
    bool keys;
    attention::Rows rows;  // of KV head 0
  };
  struct Saved {
    ggml_tensor* node;
    ggml_op op;
    int32_t params[GGML_MAX_OP_PARAMS / sizeof(int32_t)];
  };
  struct Planned {
    ggml_tensor* node;
    attention::cpu::Plan plan;
    attention::Problem problem;
    std::vector<float> slopes;
  };

  static void run_append(ggml_tensor* node, int thread, int threads, void* user);
  static void run_attention(ggml_tensor* node, int thread, int threads, void* user);

  // In this order; the cache changes from `begin` on.
  Failure configure(ggml_tensor* attention);
  Failure read_rows(ggml_tensor* set_rows);
  Failure read_sight(ggml_tensor* attention);
  Failure begin();
  cache::Status begin_all();
  void abandon();
  Failure refuse(std::string what);
  Failure plan_append(ggml_tensor* set_rows);
  Failure plan_attention(ggml_tensor* attention);
  void replace(ggml_tensor* node, ggml_custom_op_t run, void* user);

  StepContext context_;
  std::string unsupported_;
  std::map<Layer, Appended> appended_;
  std::set<Layer> begun_;
  std::map<const ggml_tensor*, Sight> sights_;  // by mask
  std::vector<std::unique_ptr<Append>> appends_;
  std::vector<std::unique_ptr<Planned>> planned_;
  std::vector<std::unique_ptr<attention::cpu::Attention>> attentions_;
  std::vector<Saved> saved_;
};

}  // namespace sightline::device
