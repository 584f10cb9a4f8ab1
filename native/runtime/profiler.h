#pragma once
// What a model's operations take: those of our device from the device, the others from llama.cpp,
// which asks before each one whether it is to be computed alone.

#include <string>

#include "device/device.h"
#include "device/profile.h"
#include "ggml.h"

namespace sightline::runtime {

struct Profiler {
  /// `device`, which outlives this, records its own operations. Null: there is none.
  explicit Profiler(const device::Device* own) : device(own) {}

  /// A ggml_backend_sched_eval_callback; `profiler` is one.
  static bool on_node(ggml_tensor* node, bool ask, void* profiler);

  device::Profile profile;
  const device::Device* device;
  device::Profile::Clock::time_point asked;  // about the node that runs
};

}  // namespace sightline::runtime
