// In place of runtime/gpu_search.cpp: the GPU is the emulator's, ggml's CUDA device is stood in
// for.

#include "attention/cuda/emulator/kernels.h"
#include "cuda_device.h"
#include "runtime/gpu.h"

namespace sightline::runtime {

namespace cuda = attention::cuda;

namespace {

constexpr size_t kGpuBytes = size_t{4} << 30;

/// One for the process; never destroyed, as models may outlive everything else.
cuda::emulator::EmulatedGpu& emulated() {
  static auto* const gpu = new cuda::emulator::EmulatedGpu(
      {.seed = 2, .memory_bytes = kGpuBytes, .kernels = cuda::emulator::kernels()});
  return *gpu;
}

/// Of ggml's CPU device, which is loaded by then.
test::CudaDevice& inner() {
  static auto* const device =
      new test::CudaDevice(emulated(), ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU));
  return *device;
}

}  // namespace

Result<SeenGpu> see_gpu() { return see_gpu({&emulated().driver(), 0, {}}); }

Result<GpuDevice> find_gpu(const GpuSearch&) {
  return GpuDevice{inner().handle(), {&emulated().driver(), 0, cuda::emulator::kEmulatedImages}};
}

}  // namespace sightline::runtime
