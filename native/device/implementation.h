#pragma once
// What the device's parts share.

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "attention/cpu/kernel.h"
#include "attention/cuda/launcher.h"
#include "cache/gpu_memory.h"
#include "device/cache_buffer.h"
#include "device/device.h"
#include "device/inputs.h"
#include "device/step.h"
#include "ggml-backend-impl.h"

namespace sightline::device {

inline constexpr const char* kName = "sightline";

/// An inner device, and the ggml device that we put before it.
struct Place {
  Device::Implementation& device;
  ggml_backend_dev_t inner;
  std::string name;  // llama.cpp tells buffer types apart by it
  std::string description;
  /// The layers' weights, and all operations but ours, are the CPU device's that llama.cpp has
  /// besides: it may lend those of a long batch to the GPU.
  bool only_cache;
  ggml_backend_buffer_type buffer_type{};
  ggml_backend_buffer_type cache_type{};  // of a buffer that holds a cache: not to be read directly
  ggml_backend_reg registry{};
  ggml_backend_device handle{};
  // On a GPU: our side of it. Declared in the order in which they depend on each other.
  std::unique_ptr<attention::cuda::Launcher> launcher = nullptr;
  std::unique_ptr<cache::GpuMemory> gpu_memory = nullptr;

  cache::Memory& memory() const {
    return gpu_memory != nullptr ? static_cast<cache::Memory&>(*gpu_memory)
                                 : cache::system_memory();
  }

  ggml_backend_buffer_type_t inner_type() const { return ggml_backend_dev_buffer_type(inner); }

  template <typename Function>
  Function inner_function(const char* function) const {
    ggml_backend_reg_t inner_registry = ggml_backend_dev_backend_reg(inner);
    return reinterpret_cast<Function>(ggml_backend_reg_get_proc_address(inner_registry, function));
  }
};

/// The cache tensors that llama.cpp has asked the size of, to give them a buffer.
struct Asked {
  bool ours = false, others = false;
};

/// A context that is being made.
struct NewContext {
  std::weak_ptr<cache::Sequence> sequence;      // of its first cache, once that has a buffer
  std::map<const Place*, Asked> without_cache;  // places whose part of that has none yet
};

struct Device::Implementation {
  std::vector<std::unique_ptr<Place>> places;  // that of the GPU first
  const attention::cpu::Kernel* kernel = attention::cpu::choose_kernel();
  ggml_threadpool_t threadpool = nullptr;
  Profile* profile = nullptr;
  Options options{};

  // Guards what follows, and every change of a cache's blocks. Not held while a graph computes.
  mutable std::mutex mutex;
  std::optional<cache::Pool> pool;
  std::optional<cache::Sequence> no_cache;
  std::vector<CacheBuffer*> caches;                    // of living buffers
  std::map<std::thread::id, NewContext> new_contexts;  // by the thread that makes it
  std::map<std::string, size_t> passed;  // bytes of cache tensors that are not ours, by name
  Inputs inputs;
  // What has run of a graph that llama.cpp has cut between the places.
  std::vector<std::unique_ptr<Step>> open_steps;
  Failure failure = Failure::none;
  std::string failure_text;
  bool pretends = false;
};

/// Tells the program's log that a cache was just given up, or lost.
void log_given_up(const CacheBuffer& buffer, const char* why);

/// A tensor as the inner device knows it: in its own buffer.
ggml_tensor inner_tensor(const ggml_tensor* tensor);

/// Sets up the two buffer types.
void make_buffer_types(Place& place);

}  // namespace sightline::device
