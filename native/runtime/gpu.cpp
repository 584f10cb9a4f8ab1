#include "runtime/gpu.h"

#include <algorithm>

namespace sightline::runtime {

namespace cuda = attention::cuda;

namespace {

// The architectures that our kernels are compiled for (scripts/cuda.mjs).
constexpr int kCapabilities[] = {kLeastCapability, 80, 86, 89, 90, 100, 120};

}  // namespace

bool has_code_for(int capability) {
  return std::ranges::any_of(kCapabilities, [&](int compiled) {
    return compiled / 10 == capability / 10 && compiled <= capability;
  });
}

Result<SeenGpu> see_gpu(const cuda::GpuChoice& choice) {
  try {
    const cuda::Gpu gpu(*choice.driver, choice.ordinal);
    const cuda::Gpu::Current current(gpu);
    return SeenGpu{gpu.info(), gpu.memory(), !has_code_for(gpu.info().capability)};
  } catch (const cuda::DriverError& error) {
    return gpu_unavailable(std::string("The GPU cannot be used: ") + error.what() + ".");
  }
}

}  // namespace sightline::runtime
