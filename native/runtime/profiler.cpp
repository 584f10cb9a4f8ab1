#include "runtime/profiler.h"

#include "device/graph.h"
#include "device/node_cost.h"
#include "ggml-backend.h"

namespace sightline::runtime {
namespace {

/// What llama.cpp keeps for its CPU operations may lie in memory of a GPU's.
std::string device_of(const ggml_tensor* node) {
  const ggml_tensor* whole = node->view_src != nullptr ? node->view_src : node;
  ggml_backend_buffer_type_t type = ggml_backend_buffer_get_type(whole->buffer);
  if (ggml_backend_buft_is_host(type)) return "CPU";
  return ggml_backend_dev_name(ggml_backend_buft_get_device(type));
}

}  // namespace

bool Profiler::on_node(ggml_tensor* node, bool ask, void* user) {
  Profiler& self = *static_cast<Profiler*>(user);
  if (ask) {
    const bool owned = self.device != nullptr && self.device->computes(node);
    if (owned || device::is_view(node) || !self.profile.in_step()) return false;
    self.asked = device::Profile::Clock::now();
    return true;
  }
  const auto end = device::Profile::Clock::now();
  self.profile.add(device::describe(node, device_of(node)), device::cost_of(node), self.asked, end);
  return true;
}

}  // namespace sightline::runtime
