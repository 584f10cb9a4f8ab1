#include <algorithm>
#include <filesystem>
#include <mutex>
#include <optional>

#include "attention/cuda/image.h"
#include "runtime/gpu.h"
#include "runtime/llama_log.h"

#if defined(_WIN32)
#define WIN32_LEAN_AND_MEAN
#include <windows.h>
#else
#include <dlfcn.h>
#endif

namespace sightline::runtime {

namespace cuda = attention::cuda;

namespace {

#if defined(_WIN32)

std::string library_name(const std::string& name, int version) {
  return name + "64_" + std::to_string(version) + ".dll";
}

bool open_library(const std::string& path) {
  return LoadLibraryExA(path.c_str(), nullptr, LOAD_WITH_ALTERED_SEARCH_PATH) != nullptr;
}

#else

std::string library_name(const std::string& name, int version) {
  return "lib" + name + ".so." + std::to_string(version);
}

bool open_library(const std::string& path) {
  return dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL) != nullptr;
}

#endif

/// Opens a library from the first of the folders that has it, or from where the system looks.
bool open_from(const std::vector<std::string>& folders, const std::string& name) {
  const bool opened = std::ranges::any_of(folders, [&](const std::string& folder) {
    const std::filesystem::path path = std::filesystem::path(folder) / name;
    std::error_code error;
    return std::filesystem::exists(path, error) && open_library(path.string());
  });
  return opened || open_library(name);
}

/// CUDA's libraries that ggml's backend is linked to, each after those it needs itself. The first
/// that is missing.
std::optional<std::string> open_toolkit(const std::vector<std::string>& folders, int version) {
  for (const char* name : {"cudart", "cublasLt", "cublas"}) {
    const std::string file = library_name(name, version);
    if (!open_from(folders, file)) return file;
  }
  return std::nullopt;
}

Result<const cuda::Driver*> open_driver() {
  static const auto found = cuda::find_driver();
  if (const auto* missing = std::get_if<cuda::NoDriver>(&found))
    return gpu_unavailable(missing->reason);
  const auto& driver = std::get<cuda::Driver>(found);
  int count = 0;
  if (driver.init(0) != cuda::kSuccess || driver.device_count(&count) != cuda::kSuccess ||
      count == 0)
    return gpu_unavailable(
        "NVIDIA's driver finds no GPU. Check that nvidia-smi lists one, and that "
        "CUDA_VISIBLE_DEVICES does not hide it.");
  return &driver;
}

Result<ggml_backend_dev_t> open_backend(const GpuSearch& search, int driver_version) {
  std::string why = "ggml's CUDA backend is not installed. Run \"Sightline: Install GPU Runtime\".";
  for (const GpuSearch::Backend& backend : search.backends) {
    std::error_code error;
    if (!std::filesystem::exists(backend.path, error)) continue;
    const std::string version = std::to_string(backend.cuda_version);
    if (driver_version / 1000 < backend.cuda_version) {
      why = "NVIDIA's driver is for CUDA " + std::to_string(driver_version / 1000) + ", and CUDA " +
            version + " is needed. Install a newer driver.";
      continue;
    }
    if (const auto missing = open_toolkit(search.toolkit_folders, backend.cuda_version)) {
      why = "There is no " + *missing + ". Install the libraries of CUDA " + version +
            " (the CUDA toolkit, or with Python: pip install nvidia-cuda-runtime nvidia-cublas), "
            "and set sightline.gpu.cudaPath where they are in no usual place.";
      continue;
    }
    const LogCapture log;
    ggml_backend_reg_t registry = ggml_backend_load(backend.path.c_str());
    if (registry != nullptr && ggml_backend_reg_dev_count(registry) > 0) {
      ggml_backend_dev_t device = ggml_backend_reg_dev_get(registry, 0);
      ggml_backend_dev_props properties;
      ggml_backend_dev_get_props(device, &properties);
      if (properties.caps.events) return device;
      why = backend.path + " was built without events, which order our kernels with its own.";
      continue;
    }
    why = backend.path + " does not run here (" + log.errors() + ").";
  }
  return gpu_unavailable(why);
}

}  // namespace

Result<SeenGpu> see_gpu() {
  Result<const cuda::Driver*> driver = open_driver();
  if (!driver) return driver.error();
  return see_gpu({driver.value(), 0, {}});
}

Result<GpuDevice> find_gpu(const GpuSearch& search) {
  static std::mutex mutex;
  const std::lock_guard lock(mutex);
  if (cuda::kernel_images().empty())
    return gpu_unavailable("This build of Sightline has no CUDA kernels: nvcc was not there.");
  Result<const cuda::Driver*> driver = open_driver();
  if (!driver) return driver.error();
  try {
    const cuda::Gpu gpu(*driver.value(), 0);
    if (gpu.info().capability < kLeastCapability)
      return gpu_unavailable("The GPU " + gpu.info().name +
                             " is too old: compute capability 7.5 (Turing) or newer is needed.");
    Result<ggml_backend_dev_t> inner = open_backend(search, gpu.info().driver_version);
    if (!inner) return inner.error();
    return GpuDevice{inner.value(), {driver.value(), 0, cuda::kernel_images()}};
  } catch (const cuda::DriverError& error) {
    return gpu_unavailable(std::string("The GPU cannot be used: ") + error.what() + ".");
  }
}

}  // namespace sightline::runtime
