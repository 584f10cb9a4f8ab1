#pragma once
// One GPU by the driver's table: its context, memory, streams, events and kernels. Everything here
// belongs to the thread that has the GPU current.

#include <cstddef>
#include <map>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "attention/cuda/driver.h"

namespace sightline::attention::cuda {

/// A call that the driver refused.
class DriverError : public std::runtime_error {
 public:
  DriverError(const Driver& driver, DriverStatus status, const char* what);
  DriverStatus status() const { return status_; }

 private:
  DriverStatus status_;
};

/// Throws DriverError unless the status is success; `what` was tried.
inline void check(const Driver& driver, DriverStatus status, const char* what) {
  if (status != kSuccess) throw DriverError(driver, status, what);
}

struct GpuInfo {
  std::string name;
  int capability = 0;  // 10 * major + minor
  int processors = 0;
  size_t most_shared_bytes = 0;       // of a block
  size_t processor_shared_bytes = 0;  // of a multiprocessor
  int driver_version = 0;             // 1000 * major + 10 * minor
};

struct GpuMemory {
  size_t free, total;
};

/// A GPU whose primary context, the one that ggml's CUDA uses too, is held. The table outlives it.
class Gpu {
 public:
  /// Throws DriverError.
  Gpu(const Driver& driver, int ordinal);
  Gpu(const Gpu&) = delete;
  Gpu& operator=(const Gpu&) = delete;
  ~Gpu();

  const Driver& driver() const { return driver_; }
  const GpuInfo& info() const { return info_; }

  /// While it lives, calls of this thread are for this GPU.
  class Current {
   public:
    explicit Current(const Gpu& gpu);
    Current(const Current&) = delete;
    Current& operator=(const Current&) = delete;
    ~Current();

   private:
    const Driver& driver_;
  };

  GpuMemory memory() const;

 private:
  const Driver& driver_;
  int device_ = 0;
  ContextHandle* context_ = nullptr;
  GpuInfo info_;
};

/// Order of work on a GPU. Work of different streams has none but by events.
class Stream {
 public:
  explicit Stream(const Gpu& gpu);
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  ~Stream();

  StreamHandle* handle() const { return handle_; }
  void wait_for(EventHandle* event);
  void record(EventHandle* event);

  // Bytes to the GPU, from it, and on it. What is sent from pinned memory has to stay there until
  // it has arrived.
  void send(void* to, const void* from, size_t bytes);
  void fetch(void* to, const void* from, size_t bytes);
  void copy(void* to, const void* from, size_t bytes);
  void clear(void* to, size_t bytes);

  /// Until everything has been done. Only at the end of a step, never inside.
  void synchronize();

 private:
  const Driver& driver_;
  StreamHandle* handle_ = nullptr;
};

class Event {
 public:
  explicit Event(const Gpu& gpu);
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  ~Event();

  EventHandle* handle() const { return handle_; }
  /// Until what was recorded last has been reached; at once where nothing was.
  void synchronize();

 private:
  const Driver& driver_;
  EventHandle* handle_ = nullptr;
};

/// Memory of the system that the GPU reads by itself, while the program goes on.
class PinnedMemory {
 public:
  /// Throws DriverError.
  PinnedMemory(const Gpu& gpu, size_t bytes);
  PinnedMemory(const PinnedMemory&) = delete;
  PinnedMemory& operator=(const PinnedMemory&) = delete;
  ~PinnedMemory();

  std::byte* data() const { return static_cast<std::byte*>(memory_); }
  size_t bytes() const { return bytes_; }

 private:
  const Driver& driver_;
  void* memory_ = nullptr;
  size_t bytes_;
};

/// Memory of a GPU.
class Memory {
 public:
  /// Throws DriverError, of status kOutOfMemory where there is none left.
  Memory(const Gpu& gpu, size_t bytes);
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  ~Memory();

  DevicePointer at(size_t offset = 0) const { return pointer_ + offset; }
  template <typename T = std::byte>
  T* data() const {
    return reinterpret_cast<T*>(static_cast<uintptr_t>(pointer_));
  }
  size_t bytes() const { return bytes_; }

 private:
  const Driver& driver_;
  DevicePointer pointer_ = 0;
  size_t bytes_;
};

struct LaunchSize {
  unsigned grid_x = 1, grid_y = 1, grid_z = 1;
  unsigned threads = 1;
  size_t shared_bytes = 0;
};

/// The kernels of some modules.
class Kernels {
 public:
  /// `images`: fatbins or cubins. Throws DriverError; kNoBinaryForGpu: one does not run on this
  /// GPU.
  Kernels(const Gpu& gpu, std::span<const void* const> images);
  Kernels(const Kernels&) = delete;
  Kernels& operator=(const Kernels&) = delete;
  ~Kernels();

  /// Puts a kernel into the stream; it gets its own copy of the arguments.
  template <typename Arguments>
  void launch(const char* name, const LaunchSize& size, const Arguments& arguments,
              const Stream& stream) {
    Arguments own = arguments;
    launch(name, size, static_cast<void*>(&own), stream);
  }

 private:
  void launch(const char* name, const LaunchSize& size, void* arguments, const Stream& stream);
  FunctionHandle* find(const char* name, size_t shared_bytes);

  struct Function {
    FunctionHandle* handle;
    size_t shared_bytes;  // that it may ask for
  };
  const Driver& driver_;
  std::vector<ModuleHandle*> modules_;
  std::map<std::string, Function, std::less<>> functions_;
};

}  // namespace sightline::attention::cuda
