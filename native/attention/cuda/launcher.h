#pragma once
// One GPU as we use it: our stream on it, and our kernels.

#include <cstdint>
#include <optional>
#include <span>

#include "attention/cuda/gpu.h"
#include "attention/cuda/kernels/append.h"
#include "attention/cuda/kernels/observe.h"
#include "attention/cuda/plan.h"
#include "attention/cuda/recode.h"

namespace sightline::attention::cuda {

/// A GPU, and what its kernels are loaded from.
struct GpuChoice {
  const Driver* driver;
  int ordinal;
  std::span<const void* const> images;  // fatbins or cubins
};

/// Work is put into the stream in the order of the calls. Everything throws DriverError; but for
/// making and destroying it, the caller has made the GPU current.
class Launcher {
 public:
  explicit Launcher(const GpuChoice& choice);
  Launcher(const Launcher&) = delete;
  Launcher& operator=(const Launcher&) = delete;
  ~Launcher();

  const Gpu& gpu() const { return gpu_; }
  Stream& stream() { return *stream_; }

  // Lists are in GPU memory.
  void append(const AppendArguments& arguments, int kv_heads, size_t segments, int sides);
  /// All restoring, then all coding.
  void recode(std::span<const RestoreJob> restores, std::span<const CodeJob> codes, int head_dim);
  /// `arguments` say where the plan's lists are.
  void attend(const Plan& plan, const AttendArguments& arguments);
  /// `blocks`: those that ObserveArguments::attend.copies has.
  void observe(const ObserveArguments& arguments, size_t blocks);

 private:
  template <typename Arguments>
  void launch_slices(const char* name, size_t jobs, int head_dim, const Arguments& arguments);

  Gpu gpu_;
  std::optional<Stream> stream_;
  std::optional<Kernels> kernels_;
};

/// Memory of a GPU that grows as it is asked for.
class Scratch {
 public:
  explicit Scratch(const Gpu& gpu) : gpu_(gpu) {}

  /// At least that many bytes, zeros at first; what was there before may be gone. Throws
  /// DriverError.
  std::byte* reserve(size_t bytes, Stream& stream);

 private:
  const Gpu& gpu_;
  std::optional<Memory> memory_;
};

}  // namespace sightline::attention::cuda
