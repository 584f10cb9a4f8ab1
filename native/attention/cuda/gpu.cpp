#include "attention/cuda/gpu.h"

#include <array>

namespace sightline::attention::cuda {
namespace {

// What a block may have of dynamic shared memory without asking (CUDA C++ Programming Guide).
constexpr size_t kUsualSharedBytes = size_t{48} << 10;

DevicePointer pointer_to(const void* memory) { return reinterpret_cast<uintptr_t>(memory); }

std::string text_of(const Driver& driver, DriverStatus status) {
  const char* name = nullptr;
  if (driver.error_name(status, &name) != kSuccess || name == nullptr) name = "unknown error";
  return std::string(name) + " (" + std::to_string(status) + ")";
}

}  // namespace

DriverError::DriverError(const Driver& driver, DriverStatus status, const char* what)
    : std::runtime_error(std::string(what) + ": " + text_of(driver, status)), status_(status) {}

Gpu::Gpu(const Driver& driver, int ordinal) : driver_(driver) {
  check(driver, driver.init(0), "starting the driver");
  check(driver, driver.device(&device_, ordinal), "finding the GPU");
  const auto attribute = [&](DeviceAttribute which) {
    int value = 0;
    check(driver, driver.device_attribute(&value, which, device_), "asking about the GPU");
    return value;
  };
  std::array<char, 256> name{};
  check(driver, driver.device_name(name.data(), static_cast<int>(name.size()), device_),
        "asking for the GPU's name");
  info_.name = name.data();
  info_.capability = 10 * attribute(DeviceAttribute::capability_major) +
                     attribute(DeviceAttribute::capability_minor);
  info_.processors = attribute(DeviceAttribute::processors);
  info_.most_shared_bytes = static_cast<size_t>(attribute(DeviceAttribute::most_shared_bytes));
  info_.processor_shared_bytes =
      static_cast<size_t>(attribute(DeviceAttribute::processor_shared_bytes));
  check(driver, driver.driver_version(&info_.driver_version), "asking for the driver's version");
  check(driver, driver.retain_context(&context_, device_), "opening the GPU");
}

Gpu::~Gpu() { driver_.release_context(device_); }

Gpu::Current::Current(const Gpu& gpu) : driver_(gpu.driver_) {
  check(driver_, driver_.push_context(gpu.context_), "using the GPU");
}

Gpu::Current::~Current() {
  ContextHandle* before = nullptr;
  driver_.pop_context(&before);
}

GpuMemory Gpu::memory() const {
  GpuMemory memory{};
  check(driver_, driver_.memory_info(&memory.free, &memory.total), "asking for the GPU's memory");
  return memory;
}

Stream::Stream(const Gpu& gpu) : driver_(gpu.driver()) {
  check(driver_, driver_.create_stream(&handle_, kStreamNonBlocking), "making a stream");
}

Stream::~Stream() { driver_.destroy_stream(handle_); }

void Stream::wait_for(EventHandle* event) {
  check(driver_, driver_.wait_for_event(handle_, event, 0), "ordering streams");
}

void Stream::record(EventHandle* event) {
  check(driver_, driver_.record_event(event, handle_), "recording an event");
}

void Stream::send(void* to, const void* from, size_t bytes) {
  check(driver_, driver_.copy_to_device(pointer_to(to), from, bytes, handle_),
        "writing to the GPU");
}

void Stream::fetch(void* to, const void* from, size_t bytes) {
  check(driver_, driver_.copy_to_host(to, pointer_to(from), bytes, handle_),
        "reading from the GPU");
}

void Stream::copy(void* to, const void* from, size_t bytes) {
  check(driver_, driver_.copy_on_device(pointer_to(to), pointer_to(from), bytes, handle_),
        "moving a block");
}

void Stream::clear(void* to, size_t bytes) {
  check(driver_, driver_.fill(pointer_to(to), 0, bytes, handle_), "clearing memory of the GPU");
}

void Stream::synchronize() {
  check(driver_, driver_.synchronize_stream(handle_), "waiting for the GPU");
}

Event::Event(const Gpu& gpu) : driver_(gpu.driver()) {
  check(driver_, driver_.create_event(&handle_, kEventWithoutTiming), "making an event");
}

Event::~Event() { driver_.destroy_event(handle_); }

void Event::synchronize() {
  check(driver_, driver_.synchronize_event(handle_), "waiting for the GPU");
}

PinnedMemory::PinnedMemory(const Gpu& gpu, size_t bytes) : driver_(gpu.driver()), bytes_(bytes) {
  check(driver_, driver_.allocate_host(&memory_, bytes), "taking memory to send from");
}

PinnedMemory::~PinnedMemory() { driver_.free_host(memory_); }

Memory::Memory(const Gpu& gpu, size_t bytes) : driver_(gpu.driver()), bytes_(bytes) {
  check(driver_, driver_.allocate(&pointer_, bytes), "taking memory of the GPU");
}

Memory::~Memory() { driver_.free(pointer_); }

Kernels::Kernels(const Gpu& gpu, std::span<const void* const> images) : driver_(gpu.driver()) {
  for (const void* image : images) {
    ModuleHandle* module = nullptr;
    check(driver_, driver_.load_module(&module, image), "loading the kernels");
    modules_.push_back(module);
  }
}

Kernels::~Kernels() {
  for (ModuleHandle* module : modules_) driver_.unload_module(module);
}

FunctionHandle* Kernels::find(const char* name, size_t shared_bytes) {
  auto found = functions_.find(name);
  if (found == functions_.end()) {
    FunctionHandle* handle = nullptr;
    DriverStatus status = kNotFound;
    for (size_t i = 0; status == kNotFound && i < modules_.size(); i++)
      status = driver_.function(&handle, modules_[i], name);
    check(driver_, status, name);
    found = functions_.emplace(name, Function{handle, kUsualSharedBytes}).first;
  }
  Function& function = found->second;
  if (shared_bytes > function.shared_bytes) {
    check(driver_,
          driver_.set_function_attribute(function.handle,
                                         FunctionAttribute::most_dynamic_shared_bytes,
                                         static_cast<int>(shared_bytes)),
          name);
    function.shared_bytes = shared_bytes;
  }
  return function.handle;
}

void Kernels::launch(const char* name, const LaunchSize& size, void* arguments,
                     const Stream& stream) {
  FunctionHandle* function = find(name, size.shared_bytes);
  void* parameters[] = {arguments};
  check(driver_,
        driver_.launch(function, size.grid_x, size.grid_y, size.grid_z, size.threads, 1, 1,
                       static_cast<unsigned>(size.shared_bytes), stream.handle(), parameters,
                       nullptr),
        name);
}

}  // namespace sightline::attention::cuda
