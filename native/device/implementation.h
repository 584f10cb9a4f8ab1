#pragma once
// What the device's parts share.

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "attention/cpu/kernel.h"
#include "attention/cuda/launcher.h"
#include "cache/gpu_memory.h"
#include "device/cache_buffer.h"
#include "device/device.h"
#include "device/inputs.h"
#include "ggml-backend-impl.h"

namespace sightline::device {

inline constexpr const char* kName = "sightline";

struct Device::Implementation {
  ggml_backend_dev_t inner = nullptr;
  std::string description;
  ggml_backend_buffer_type buffer_type{};
  ggml_backend_buffer_type cache_type{};  // of a buffer that holds a cache: not to be read directly
  ggml_backend_reg registry{};
  ggml_backend_device device{};
  const attention::cpu::Kernel* kernel = attention::cpu::choose_kernel();
  Options options{};
  // On a GPU: our side of it. Declared in the order in which they depend on each other.
  std::unique_ptr<attention::cuda::Launcher> launcher;
  std::unique_ptr<cache::GpuMemory> gpu_memory;

  // Guards what follows, and every change of a cache's blocks. Not held while a graph computes.
  mutable std::mutex mutex;
  std::optional<cache::Pool> pool;
  std::optional<cache::Sequence> no_cache;
  std::vector<CacheBuffer*> caches;  // of living buffers
  // Threads that are making a context whose first cache has not got its buffer yet.
  std::set<std::thread::id> making_context;
  std::map<std::string, size_t> passed;  // bytes of cache tensors that are not ours, by name
  Inputs inputs;
  Failure failure = Failure::none;
  std::string failure_text;
  bool pretends = false;

  ggml_backend_buffer_type_t inner_type() const { return ggml_backend_dev_buffer_type(inner); }

  template <typename Function>
  Function inner_function(const char* name) const {
    ggml_backend_reg_t inner_registry = ggml_backend_dev_backend_reg(inner);
    return reinterpret_cast<Function>(ggml_backend_reg_get_proc_address(inner_registry, name));
  }
};

/// Tells the program's log that a cache was just given up, or lost.
void log_given_up(const CacheBuffer& buffer, const char* why);

/// A tensor as the inner device knows it: in its own buffer.
ggml_tensor inner_tensor(const ggml_tensor* tensor);

/// Sets up the two buffer types.
void make_buffer_types(Device::Implementation& device);

}  // namespace sightline::device
