#include "attention/cuda/driver.h"

#if defined(_WIN32)
#define WIN32_LEAN_AND_MEAN
#include <windows.h>
#else
#include <dlfcn.h>
#endif

namespace sightline::attention::cuda {
namespace {

#if defined(_WIN32)

constexpr const char* kLibrary = "nvcuda.dll";

void* open_library() { return LoadLibraryExA(kLibrary, nullptr, LOAD_LIBRARY_SEARCH_SYSTEM32); }
void* symbol(void* library, const char* name) {
  return reinterpret_cast<void*>(GetProcAddress(static_cast<HMODULE>(library), name));
}

#else

constexpr const char* kLibrary = "libcuda.so.1";

void* open_library() { return dlopen(kLibrary, RTLD_NOW | RTLD_LOCAL); }
void* symbol(void* library, const char* name) { return dlsym(library, name); }

#endif

/// Fills a table from a library; the first function that it has not is remembered.
struct Loader {
  void* library;
  std::string missing = {};

  template <typename Function>
  void load(Function& function, const char* name) {
    void* found = symbol(library, name);
    function = reinterpret_cast<Function>(found);
    if (found == nullptr && missing.empty()) missing = name;
  }
};

}  // namespace

std::variant<Driver, NoDriver> find_driver() {
  void* library = open_library();
  if (library == nullptr)
    return NoDriver{std::string("NVIDIA's driver is not installed: there is no ") + kLibrary +
                    ". Install the driver for your GPU, version 580 or newer."};
  Driver driver;
  Loader loader{library};
  loader.load(driver.init, "cuInit");
  loader.load(driver.driver_version, "cuDriverGetVersion");
  loader.load(driver.error_name, "cuGetErrorName");
  loader.load(driver.device_count, "cuDeviceGetCount");
  loader.load(driver.device, "cuDeviceGet");
  loader.load(driver.device_name, "cuDeviceGetName");
  loader.load(driver.device_attribute, "cuDeviceGetAttribute");
  loader.load(driver.retain_context, "cuDevicePrimaryCtxRetain");
  loader.load(driver.release_context, "cuDevicePrimaryCtxRelease_v2");
  loader.load(driver.push_context, "cuCtxPushCurrent_v2");
  loader.load(driver.pop_context, "cuCtxPopCurrent_v2");
  loader.load(driver.memory_info, "cuMemGetInfo_v2");
  loader.load(driver.allocate, "cuMemAlloc_v2");
  loader.load(driver.free, "cuMemFree_v2");
  loader.load(driver.allocate_host, "cuMemAllocHost_v2");
  loader.load(driver.free_host, "cuMemFreeHost");
  loader.load(driver.copy_to_device, "cuMemcpyHtoDAsync_v2");
  loader.load(driver.copy_to_host, "cuMemcpyDtoHAsync_v2");
  loader.load(driver.copy_on_device, "cuMemcpyDtoDAsync_v2");
  loader.load(driver.fill, "cuMemsetD8Async");
  loader.load(driver.create_stream, "cuStreamCreate");
  loader.load(driver.destroy_stream, "cuStreamDestroy_v2");
  loader.load(driver.synchronize_stream, "cuStreamSynchronize");
  loader.load(driver.wait_for_event, "cuStreamWaitEvent");
  loader.load(driver.create_event, "cuEventCreate");
  loader.load(driver.destroy_event, "cuEventDestroy_v2");
  loader.load(driver.record_event, "cuEventRecord");
  loader.load(driver.synchronize_event, "cuEventSynchronize");
  loader.load(driver.load_module, "cuModuleLoadData");
  loader.load(driver.unload_module, "cuModuleUnload");
  loader.load(driver.function, "cuModuleGetFunction");
  loader.load(driver.set_function_attribute, "cuFuncSetAttribute");
  loader.load(driver.launch, "cuLaunchKernel");
  if (!loader.missing.empty())
    return NoDriver{std::string(kLibrary) + " has no " + loader.missing +
                    ": the driver is too old. Install version 580 or newer."};
  return driver;
}

}  // namespace sightline::attention::cuda
