#pragma once
// The part of CUDA's driver API that we use, as a table of functions: found in the driver's library
// at run time, so that one build serves machines with and without it, or in the emulator.

#include <cuda.h>

#include <memory>
#include <string>

namespace sightline::attention::cuda {

/// Names and types are the driver's own (cuda.h); the numbered variants are those that cuda.h maps
/// the plain names to.
struct Driver {
  decltype(&cuInit) init;
  decltype(&cuDriverGetVersion) driver_version;
  decltype(&cuDeviceGetCount) device_count;
  decltype(&cuDeviceGet) device;
  decltype(&cuDeviceGetName) device_name;
  decltype(&cuDeviceGetAttribute) device_attribute;
  decltype(&cuDevicePrimaryCtxRetain) retain_context;
  decltype(&cuDevicePrimaryCtxRelease) release_context;
  decltype(&cuCtxPushCurrent) push_context;
  decltype(&cuCtxPopCurrent) pop_context;
  decltype(&cuMemGetInfo) memory_info;
  decltype(&cuMemAlloc) allocate;
  decltype(&cuMemFree) free;
  decltype(&cuMemcpyHtoDAsync) copy_to_device;
  decltype(&cuMemcpyDtoHAsync) copy_to_host;
  decltype(&cuMemcpyDtoDAsync) copy_on_device;
  decltype(&cuStreamCreate) create_stream;
  decltype(&cuStreamDestroy) destroy_stream;
  decltype(&cuStreamSynchronize) synchronize_stream;
  decltype(&cuStreamWaitEvent) wait_for_event;
  decltype(&cuEventCreate) create_event;
  decltype(&cuEventDestroy) destroy_event;
  decltype(&cuEventRecord) record_event;
  decltype(&cuModuleLoadData) load_module;
  decltype(&cuModuleUnload) unload_module;
  decltype(&cuModuleGetFunction) function;
  decltype(&cuFuncSetAttribute) set_function_attribute;
  decltype(&cuLaunchKernel) launch;
  decltype(&cuGetErrorName) error_name;
};

/// Why there is no driver, in words for the user; or none of this and the table.
struct FoundDriver {
  std::unique_ptr<const Driver> driver;
  std::string problem;
};

/// Looks for libcuda.so.1 (nvcuda.dll). The library stays open.
FoundDriver find_driver();

}  // namespace sightline::attention::cuda
