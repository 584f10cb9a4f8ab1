#pragma once
// Finding a GPU that models can run on: NVIDIA's driver, ggml's CUDA backend, and the libraries of
// the CUDA toolkit that it needs.

#include <string>
#include <vector>

#include "attention/cuda/launcher.h"
#include "ggml-backend.h"
#include "runtime/error.h"

namespace sightline::runtime {

inline Error gpu_unavailable(const std::string& why) { return {Code::gpu_unavailable, why}; }

/// A GPU: as ggml's CUDA device, and as our kernels find it. What they point at stays.
struct GpuDevice {
  ggml_backend_dev_t inner;
  attention::cuda::GpuChoice choice;
};

/// A GPU as the driver describes it.
struct SeenGpu {
  attention::cuda::GpuInfo info;
  attention::cuda::GpuMemory memory;
  bool compiles_kernels;  // the driver does, from PTX: we have no code for its architecture
};

/// The GPU chosen, or the first one, whether or not models can run on it.
Result<SeenGpu> see_gpu(const attention::cuda::GpuChoice& choice);
Result<SeenGpu> see_gpu();

/// The oldest compute capability that our kernels are compiled for.
inline constexpr int kLeastCapability = 75;

/// Whether our kernels are compiled for a compute capability (10 * major + minor): for it, or for a
/// lower minor one.
bool has_code_for(int capability);

struct GpuSearch {
  /// ggml's CUDA backend, built for a major version of CUDA.
  struct Backend {
    std::string path;
    int cuda_version;
  };
  std::vector<Backend> backends;  // the first whose CUDA the driver knows and the machine has
  std::vector<std::string> toolkit_folders;  // where CUDA's libraries may be, in order
};

/// The first GPU. Loads what it needs, which stays loaded. Where that cannot be, the message says
/// what is missing and what to install.
Result<GpuDevice> find_gpu(const GpuSearch& search);

}  // namespace sightline::runtime
