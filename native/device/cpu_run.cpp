#include "device/cpu_run.h"

#include <algorithm>
#include <cstring>

#include "ggml-impl.h"

namespace sightline::device {

CpuRun::CpuRun(const CpuContext& context, const Step& step) {
  std::vector<attention::cpu::Plan> plans;
  size_t floats = 0;
  for (const auto& node : step.attentions()) {
    const attention::Problem& problem = node->problem;
    plans.push_back(attention::cpu::Plan::make(
        problem.shape, {problem.visible, static_cast<size_t>(problem.shape.tokens)}, problem.blocks,
        context.threads, problem.received.count));
    floats = std::max(floats, plans.back().workspace_floats());
  }
  float* workspace = context.workspace.reserve(floats);
  for (const AppendNode& append : step.appends()) replace(append.node, run_append, &append);
  for (size_t i = 0; i < plans.size(); i++) {
    const AttentionNode& node = *step.attentions()[i];
    attentions_.push_back(std::make_unique<attention::cpu::Attention>(
        context.kernel, std::move(plans[i]), node.problem, workspace));
    replace(node.node, run_attention, attentions_.back().get());
  }
}

CpuRun::~CpuRun() {
  for (const Saved& saved : saved_) {
    saved.node->op = saved.op;
    std::memcpy(saved.node->op_params, saved.params, sizeof saved.params);
  }
}

void CpuRun::replace(ggml_tensor* node, ggml_custom_op_t run, const void* user) {
  Saved saved{node, node->op, {}};
  std::memcpy(saved.params, node->op_params, sizeof saved.params);
  saved_.push_back(saved);
  const ggml_custom_op_params params{run, GGML_N_TASKS_MAX, const_cast<void*>(user)};
  static_assert(sizeof params <= sizeof saved.params);
  std::memcpy(node->op_params, &params, sizeof params);
  node->op = GGML_OP_CUSTOM;
}

void CpuRun::run_append(ggml_tensor*, int thread, int threads, void* user) {
  const AppendNode& append = *static_cast<const AppendNode*>(user);
  for (int32_t head = thread; head < append.geometry.kv_heads; head += threads) {
    attention::Rows rows = append.rows;
    rows.data += static_cast<size_t>(head) * static_cast<size_t>(append.geometry.head_dim);
    if (append.keys) {
      append.cache->store_keys(append.layer, head, rows);
    } else {
      append.cache->store_values(append.layer, head, rows);
    }
  }
}

void CpuRun::run_attention(ggml_tensor*, int thread, int, void* user) {
  static_cast<attention::cpu::Attention*>(user)->work(thread);
}

}  // namespace sightline::device
