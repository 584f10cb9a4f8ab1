#pragma once
// The nodes of a step inside the computation of ggml's CPU backend, as GGML_OP_CUSTOM: on its
// threads and between its barriers.

#include <memory>
#include <vector>

#include "attention/cpu/attend.h"
#include "device/profiled_nodes.h"
#include "device/step.h"

namespace sightline::device {

/// What runs on the CPU take; outlives them.
struct CpuContext {
  const attention::cpu::Kernel& kernel;
  attention::cpu::Workspace& workspace;
  int threads;
};

class CpuRun {
 public:
  /// Turns the step's nodes into custom operations. The step outlives the run.
  CpuRun(const CpuContext& context, const Step& step);
  CpuRun(const CpuRun&) = delete;
  CpuRun& operator=(const CpuRun&) = delete;
  /// Gives the nodes back to ggml as they were.
  ~CpuRun();

  /// Computes the graph node by node: each is one of the profile's events, and what codes blocks
  /// one of its own.
  ggml_status compute(ggml_backend_t inner, ggml_cgraph* graph,
                      const std::vector<ProfiledNode>& nodes, Profile& profile);

 private:
  struct Saved {
    ggml_tensor* node;
    ggml_op op;
    int32_t params[GGML_MAX_OP_PARAMS / sizeof(int32_t)];
  };

  static void run_append(ggml_tensor* node, int thread, int threads, void* user);
  // The two parts of an append.
  static void run_write(ggml_tensor* node, int thread, int threads, void* user);
  static void run_code(ggml_tensor* node, int thread, int threads, void* user);
  static void run_attention(ggml_tensor* node, int thread, int threads, void* user);
  void replace(ggml_tensor* node, ggml_custom_op_t run, const void* user);
  static void set_function(ggml_tensor* node, ggml_custom_op_t run, const void* user);

  std::vector<std::unique_ptr<attention::cpu::Attention>> attentions_;
  std::vector<Saved> saved_;
};

}  // namespace sightline::device
