#pragma once
// The driver's table, on the emulator: device memory is memory of the program, streams are queues
// whose work is done as late as possible, in an order that the events allow and the seed picks.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "attention/cuda/driver.h"
#include "attention/cuda/emulator/machine.h"

namespace sightline::attention::cuda::emulator {

/// A kernel by its name in a module; `run` is called for every thread with its arguments.
struct Kernel {
  std::string_view name;
  size_t argument_bytes;
  void (*run)(const void* arguments);
};

struct GpuSetup {
  uint32_t seed = 0;
  size_t memory_bytes = size_t{1} << 30;
  int capability = 80;
  std::span<const Kernel> kernels;
};

/// There is one emulated GPU at a time.
class EmulatedGpu {
 public:
  explicit EmulatedGpu(const GpuSetup& setup);
  EmulatedGpu(const EmulatedGpu&) = delete;
  EmulatedGpu& operator=(const EmulatedGpu&) = delete;
  /// Everything that was made on it must be gone.
  ~EmulatedGpu();

  const Driver& driver() const;

  /// Whether kernels can be launched: they can at first.
  void set_launching(bool possible);

  /// Pieces of work that streams have done so far.
  int done() const;

  /// Puts work of another library into a stream.
  void enqueue(StreamHandle* stream, std::function<void()> work);

  /// What a kernel did wrong, where a call failed because of that; empty otherwise.
  const std::string& fault() const;

  struct State;

 private:
  std::unique_ptr<State> state_;
};

/// What load_module takes as an image here.
inline constexpr const char* kEmulatedImage = "emulated";
inline constexpr const void* kEmulatedImages[] = {kEmulatedImage};

}  // namespace sightline::attention::cuda::emulator
