#pragma once
// The nodes of a graph as a profile knows them, ours among them.

#include <optional>
#include <string>
#include <vector>

#include "device/profile.h"
#include "device/step.h"
#include "ggml-backend.h"
#include "ggml.h"

namespace sightline::device {

struct ProfiledNode {
  struct Work {
    Operation operation;
    Cost cost;
  };

  int index;  // in the graph
  Operation operation;
  Cost cost;
  const AppendNode* append;    // null: not one
  std::optional<Work> coding;  // of an append that brings blocks to another level
};

/// What the names of operations say of where they run.
struct ProfiledPlace {
  std::string device;
  std::string attention_kernel, cache_kernel;
};

/// The nodes that compute something, in order. To be called before anything rewrites them; the step
/// outlives what it gives.
///
/// Attention reads its queries and the slots of the copies that they see, each once, and does
/// 4 heads head_dim FLOPs for every token seen. Coding reads one copy and writes the next, with a
/// FLOP for each element.
std::vector<ProfiledNode> profiled_nodes(const ggml_cgraph* graph, const Step& step,
                                         const ProfiledPlace& place);

/// Has one of a graph's nodes computed by itself, and waits for it.
ggml_status compute_alone(ggml_backend_t inner, ggml_cgraph* graph, int index);
/// The same of all of them, which are the inner device's.
ggml_status compute_each(ggml_backend_t inner, ggml_cgraph* graph,
                         const std::vector<ProfiledNode>& nodes, Profile& profile);

}  // namespace sightline::device
