#pragma once
// One graph: finds the nodes that are ours, runs them inside ggml's graph computation, and brings
// the cache to its next state or back to the one before.

#include <map>
#include <memory>
#include <set>
#include <vector>

#include "attention/cpu/attend.h"
#include "cache/cache.h"
#include "device/device.h"
#include "ggml-backend.h"
#include "ggml.h"

namespace sightline::device {

/// What a step works on; outlives it.
struct StepContext {
  cache::Cache& cache;
  const attention::cpu::Kernel& kernel;
  attention::cpu::Workspace& workspace;
  int32_t capacity;
  int threads;
};

class Step {
 public:
  explicit Step(const StepContext& context) : context_(context) {}
  Step(const Step&) = delete;
  Step& operator=(const Step&) = delete;
  /// Gives the nodes back to ggml as they were; abandons what `finish` was not called for.
  ~Step();

  /// Finds our nodes, makes room in the cache and turns the nodes into custom operations.
  [[nodiscard]] Failure prepare(ggml_cgraph* graph);
  /// The graph has run to its end: the step's tokens are in the cache.
  void finish();

 private:
  struct Append {
    cache::Cache* cache;
    int32_t layer;
    int32_t kv_heads;
    int32_t head_dim;
    bool keys;
    attention::Rows rows;  // of KV head 0
  };
  /// What a mask lets each query see.
  struct Sight {
    std::vector<int32_t> visible;
    bool plain;  // the mask adds nothing to what is visible
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

  Failure configure(const ggml_tensor* attention);
  Failure plan_append(ggml_tensor* set_rows);
  Failure plan_attention(ggml_tensor* attention);
  const Sight* sight_of(const ggml_tensor* mask, int64_t queries, int32_t length);
  void replace(ggml_tensor* node, ggml_custom_op_t run, void* user);

  StepContext context_;
  std::map<int32_t, cache::Geometry> geometry_;
  std::set<int32_t> begun_;
  std::map<const ggml_tensor*, Sight> sights_;
  std::vector<std::unique_ptr<Append>> appends_;
  std::vector<std::unique_ptr<Planned>> planned_;
  std::vector<std::unique_ptr<attention::cpu::Attention>> attentions_;
  std::vector<Saved> saved_;
};

}  // namespace sightline::device
