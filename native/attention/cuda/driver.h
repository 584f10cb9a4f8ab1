#pragma once
// The part of CUDA's driver API that we use, as a table of functions: found in the driver's library
// at run time, so that one build serves machines with and without it, or in the emulator. The
// declarations are those of the CUDA Driver API reference; its ABI does not change.

#include <cstddef>
#include <cstdint>
#include <string>
#include <variant>

namespace sightline::attention::cuda {

using DriverStatus = int;  // 0: success
using DevicePointer = uint64_t;

// What the driver's handles point to is the driver's.
struct ContextHandle;
struct StreamHandle;
struct EventHandle;
struct ModuleHandle;
struct FunctionHandle;

inline constexpr DriverStatus kSuccess = 0;
inline constexpr DriverStatus kInvalidValue = 1;
inline constexpr DriverStatus kOutOfMemory = 2;
inline constexpr DriverStatus kNoDevice = 100;
inline constexpr DriverStatus kNoBinaryForGpu = 209;
inline constexpr DriverStatus kNotFound = 500;
inline constexpr DriverStatus kLaunchFailed = 719;

enum class DeviceAttribute : int {
  processors = 16,
  capability_major = 75,
  capability_minor = 76,
  processor_shared_bytes = 81,  // of a multiprocessor
  most_shared_bytes = 97,       // of a block that asked for it
};
enum class FunctionAttribute : int { most_dynamic_shared_bytes = 8 };

inline constexpr unsigned kStreamNonBlocking = 1;
inline constexpr unsigned kEventWithoutTiming = 2;

struct Driver {
  DriverStatus (*init)(unsigned flags);
  DriverStatus (*driver_version)(int* version);  // 1000 * major + 10 * minor
  DriverStatus (*error_name)(DriverStatus status, const char** name);
  DriverStatus (*device_count)(int* count);
  DriverStatus (*device)(int* device, int ordinal);
  DriverStatus (*device_name)(char* name, int length, int device);
  DriverStatus (*device_attribute)(int* value, DeviceAttribute attribute, int device);
  DriverStatus (*retain_context)(ContextHandle** context, int device);
  DriverStatus (*release_context)(int device);
  DriverStatus (*push_context)(ContextHandle* context);
  DriverStatus (*pop_context)(ContextHandle** context);
  DriverStatus (*memory_info)(size_t* free, size_t* total);
  DriverStatus (*allocate)(DevicePointer* pointer, size_t bytes);
  DriverStatus (*free)(DevicePointer pointer);
  DriverStatus (*allocate_host)(void** memory, size_t bytes);  // that the GPU can read by itself
  DriverStatus (*free_host)(void* memory);
  DriverStatus (*copy_to_device)(DevicePointer to, const void* from, size_t bytes,
                                 StreamHandle* stream);
  DriverStatus (*copy_to_host)(void* to, DevicePointer from, size_t bytes, StreamHandle* stream);
  DriverStatus (*copy_on_device)(DevicePointer to, DevicePointer from, size_t bytes,
                                 StreamHandle* stream);
  DriverStatus (*fill)(DevicePointer to, unsigned char byte, size_t bytes, StreamHandle* stream);
  DriverStatus (*create_stream)(StreamHandle** stream, unsigned flags);
  DriverStatus (*destroy_stream)(StreamHandle* stream);
  DriverStatus (*synchronize_stream)(StreamHandle* stream);
  DriverStatus (*wait_for_event)(StreamHandle* stream, EventHandle* event, unsigned flags);
  DriverStatus (*create_event)(EventHandle** event, unsigned flags);
  DriverStatus (*destroy_event)(EventHandle* event);
  DriverStatus (*record_event)(EventHandle* event, StreamHandle* stream);
  DriverStatus (*synchronize_event)(EventHandle* event);
  DriverStatus (*load_module)(ModuleHandle** module, const void* image);
  DriverStatus (*unload_module)(ModuleHandle* module);
  DriverStatus (*function)(FunctionHandle** function, ModuleHandle* module, const char* name);
  DriverStatus (*set_function_attribute)(FunctionHandle* function, FunctionAttribute attribute,
                                         int value);
  DriverStatus (*launch)(FunctionHandle* function, unsigned grid_x, unsigned grid_y,
                         unsigned grid_z, unsigned block_x, unsigned block_y, unsigned block_z,
                         unsigned shared_bytes, StreamHandle* stream, void** arguments,
                         void** extra);
};

/// Why there is no driver, in words for the user.
struct NoDriver {
  std::string reason;
};

/// Looks for the driver's library, libcuda.so.1 or nvcuda.dll, which stays open.
std::variant<Driver, NoDriver> find_driver();

}  // namespace sightline::attention::cuda
