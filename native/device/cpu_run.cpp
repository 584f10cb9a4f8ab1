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
  set_function(node, run, user);
  node->op = GGML_OP_CUSTOM;
}

void CpuRun::set_function(ggml_tensor* node, ggml_custom_op_t run, const void* user) {
  const ggml_custom_op_params params{run, GGML_N_TASKS_MAX, const_cast<void*>(user)};
  static_assert(sizeof params <= sizeof node->op_params);
  std::memcpy(node->op_params, &params, sizeof params);
}

ggml_status CpuRun::compute(ggml_backend_t inner, ggml_cgraph* graph,
                            const std::vector<ProfiledNode>& nodes, Profile& profile) {
  for (const ProfiledNode& node : nodes) {
    const auto compute = [&] { return compute_alone(inner, graph, node.index); };
    if (!node.coding) {
      const ggml_status status = profile.time(node.operation, node.cost, compute);
      if (status != GGML_STATUS_SUCCESS) return status;
      continue;
    }
    set_function(node.append->node, run_write, node.append);
    ggml_status status = profile.time(node.operation, node.cost, compute);
    if (status != GGML_STATUS_SUCCESS) return status;
    set_function(node.append->node, run_code, node.append);
    status = profile.time(node.coding->operation, node.coding->cost, compute);
    if (status != GGML_STATUS_SUCCESS) return status;
  }
  return GGML_STATUS_SUCCESS;
}

namespace {

/// What of an append is a thread's: visit(kv_head, rows).
template <typename Visit>
void each_head(const AppendNode& append, int thread, int threads, Visit visit) {
  for (int32_t head = thread; head < append.geometry.kv_heads; head += threads) {
    attention::Rows rows = append.rows;
    rows.data += static_cast<size_t>(head) * static_cast<size_t>(append.geometry.head_dim);
    visit(head, rows);
  }
}

}  // namespace

void CpuRun::run_append(ggml_tensor* node, int thread, int threads, void* user) {
  // A thread's heads depend on no other's.
  run_write(node, thread, threads, user);
  run_code(node, thread, threads, user);
}

void CpuRun::run_write(ggml_tensor*, int thread, int threads, void* user) {
  const AppendNode& append = *static_cast<const AppendNode*>(user);
  each_head(append, thread, threads, [&](int32_t head, const attention::Rows& rows) {
    append.cache->write(append.layer, append.side(), head, rows);
  });
}

void CpuRun::run_code(ggml_tensor*, int thread, int threads, void* user) {
  const AppendNode& append = *static_cast<const AppendNode*>(user);
  each_head(append, thread, threads, [&](int32_t head, const attention::Rows&) {
    append.cache->code(append.layer, append.side(), head);
  });
}

void CpuRun::run_attention(ggml_tensor*, int thread, int, void* user) {
  static_cast<attention::cpu::Attention*>(user)->work(thread);
}

}  // namespace sightline::device
