#pragma once
// In place of ggml's CUDA device, where there is no GPU: ggml's CPU operations behind the
// emulator's streams and events. Like the real one it computes later than it is told to, keeps its
// tensors where the program cannot read them, and knows nothing of streams that are not its own.

#include <memory>

#include "attention/cuda/emulator/driver.h"
#include "ggml-backend.h"

namespace sightline::test {

class CudaDevice {
 public:
  /// `cpu` is ggml's CPU device. Both outlive this.
  CudaDevice(attention::cuda::emulator::EmulatedGpu& gpu, ggml_backend_dev_t cpu);
  CudaDevice(const CudaDevice&) = delete;
  CudaDevice& operator=(const CudaDevice&) = delete;
  ~CudaDevice();

  ggml_backend_dev_t handle() const;
  /// Graphs that it was given, and those of them that it had been given before by their id.
  int graphs() const;
  int repeated_graphs() const;

  struct State;

 private:
  std::unique_ptr<State> state_;
};

}  // namespace sightline::test
