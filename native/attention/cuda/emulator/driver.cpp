#include "attention/cuda/emulator/driver.h"

#include <algorithm>
#include <cstring>
#include <deque>
#include <map>
#include <new>
#include <random>

namespace sightline::attention::cuda {

// The emulator's side of the handles.

struct ContextHandle {};
struct ModuleHandle {};
struct FunctionHandle {
  const emulator::Kernel* kernel;
  size_t most_shared_bytes = size_t{48} << 10;
};
struct EventHandle {
  uint64_t recorded = 0;  // times
  uint64_t reached = 0;
};
struct StreamHandle {
  /// Work, or a wait for an event to be reached so many times.
  struct Item {
    std::function<void()> work;
    EventHandle* event = nullptr;
    uint64_t times = 0;
    bool is_ready() const { return event == nullptr || event->reached >= times; }
  };
  std::deque<Item> items;
};

namespace emulator {

struct EmulatedGpu::State {
  GpuSetup setup;
  Driver driver{};
  std::mt19937 random;
  ContextHandle context;
  ModuleHandle module;
  int current = 0;  // contexts pushed
  std::map<DevicePointer, size_t> allocations;
  size_t allocated = 0;
  std::map<const std::byte*, std::vector<std::byte>> pinned;
  std::vector<std::unique_ptr<StreamHandle>> streams;
  std::vector<std::unique_ptr<EventHandle>> events;
  std::map<std::string_view, FunctionHandle> functions;
  std::string fault;
  bool launching = true;
  int done = 0;

  /// Whether all of it lies in one allocation.
  bool owns(DevicePointer pointer, size_t bytes) const {
    auto after = allocations.upper_bound(pointer);
    if (after == allocations.begin()) return false;
    const auto& [start, size] = *--after;
    return pointer + bytes <= start + size;
  }

  bool is_pinned(const std::byte* memory) const {
    auto after = pinned.upper_bound(memory);
    if (after == pinned.begin()) return false;
    const auto& [start, bytes] = *--after;
    return memory < start + bytes.size();
  }

  /// Does one piece of work, of any stream that can go on. False: none can, or it failed.
  bool step() {
    std::vector<StreamHandle*> ready;
    for (const auto& stream : streams)
      if (!stream->items.empty() && stream->items.front().is_ready()) ready.push_back(stream.get());
    if (ready.empty()) return false;
    size_t pick = 0;
    if (setup.seed == 1) pick = ready.size() - 1;
    if (setup.seed > 1) pick = random() % ready.size();
    const StreamHandle::Item item = std::move(ready[pick]->items.front());
    ready[pick]->items.pop_front();
    done++;
    try {
      if (item.work) item.work();
    } catch (const Fault& caught) {
      fault = caught.what();
      return false;
    }
    return true;
  }

  /// Does work until a stream has none left. False: that cannot be.
  bool drain(const StreamHandle& wanted) {
    while (!wanted.items.empty())
      if (!step()) return false;
    return true;
  }
};

namespace {

EmulatedGpu::State* gpu = nullptr;

DriverStatus enqueue(StreamHandle* stream, std::function<void()> work) {
  if (stream == nullptr || gpu->current == 0) return kInvalidValue;
  stream->items.push_back({std::move(work)});
  return kSuccess;
}

template <typename T>
T* host(DevicePointer pointer) {
  return reinterpret_cast<T*>(static_cast<uintptr_t>(pointer));
}

DriverStatus device_attribute(int* value, DeviceAttribute attribute, int) {
  switch (attribute) {
    case DeviceAttribute::processors:
      *value = 4;
      break;
    case DeviceAttribute::capability_major:
      *value = gpu->setup.capability / 10;
      break;
    case DeviceAttribute::capability_minor:
      *value = gpu->setup.capability % 10;
      break;
    case DeviceAttribute::processor_shared_bytes:
      *value = static_cast<int>(kSharedBytes);
      break;
    case DeviceAttribute::most_shared_bytes:
      *value = static_cast<int>(kSharedBytes) - 1024;
      break;
  }
  return kSuccess;
}

DriverStatus allocate(DevicePointer* pointer, size_t bytes) {
  if (gpu->current == 0 || bytes == 0) return kInvalidValue;
  if (bytes > gpu->setup.memory_bytes - gpu->allocated) return kOutOfMemory;
  void* memory = ::operator new (bytes, std::align_val_t{256}, std::nothrow);
  if (memory == nullptr) return kOutOfMemory;
  std::memset(memory, 0xff, bytes);  // NaNs: what nobody wrote is not to be relied on
  *pointer = reinterpret_cast<uintptr_t>(memory);
  gpu->allocations.emplace(*pointer, bytes);
  gpu->allocated += bytes;
  return kSuccess;
}

DriverStatus release(DevicePointer pointer) {
  const auto found = gpu->allocations.find(pointer);
  if (found == gpu->allocations.end()) return kInvalidValue;
  // As the driver does: what is under way comes first.
  for (const auto& stream : gpu->streams)
    if (!gpu->drain(*stream)) return kLaunchFailed;
  gpu->allocated -= found->second;
  gpu->allocations.erase(found);
  ::operator delete (host<void>(pointer), std::align_val_t{256});
  return kSuccess;
}

DriverStatus copy_to_device(DevicePointer to, const void* from, size_t bytes,
                            StreamHandle* stream) {
  if (!gpu->owns(to, bytes)) return kInvalidValue;
  const auto* start = static_cast<const std::byte*>(from);
  if (gpu->is_pinned(start))
    return enqueue(stream, [=] { std::memcpy(host<void>(to), start, bytes); });
  // From memory that is not pinned the driver copies before it returns.
  std::vector<std::byte> staged(start, start + bytes);
  return enqueue(stream, [to, staged = std::move(staged)] {
    std::memcpy(host<void>(to), staged.data(), staged.size());
  });
}

DriverStatus copy_to_host(void* to, DevicePointer from, size_t bytes, StreamHandle* stream) {
  if (!gpu->owns(from, bytes)) return kInvalidValue;
  return enqueue(stream, [=] { std::memcpy(to, host<void>(from), bytes); });
}

DriverStatus copy_on_device(DevicePointer to, DevicePointer from, size_t bytes,
                            StreamHandle* stream) {
  if (!gpu->owns(to, bytes) || !gpu->owns(from, bytes)) return kInvalidValue;
  return enqueue(stream, [=] { std::memcpy(host<void>(to), host<void>(from), bytes); });
}

DriverStatus fill(DevicePointer to, unsigned char byte, size_t bytes, StreamHandle* stream) {
  if (!gpu->owns(to, bytes)) return kInvalidValue;
  return enqueue(stream, [=] { std::memset(host<void>(to), byte, bytes); });
}

DriverStatus create_stream(StreamHandle** stream, unsigned) {
  *stream = gpu->streams.emplace_back(std::make_unique<StreamHandle>()).get();
  return kSuccess;
}

DriverStatus destroy_stream(StreamHandle* stream) {
  const bool drained = gpu->drain(*stream);
  std::erase_if(gpu->streams, [&](const auto& one) { return one.get() == stream; });
  return drained ? kSuccess : kLaunchFailed;
}

DriverStatus synchronize_stream(StreamHandle* stream) {
  return gpu->drain(*stream) ? kSuccess : kLaunchFailed;
}

DriverStatus record_event(EventHandle* event, StreamHandle* stream) {
  const uint64_t times = ++event->recorded;
  return enqueue(stream, [=] { event->reached = std::max(event->reached, times); });
}

DriverStatus wait_for_event(StreamHandle* stream, EventHandle* event, unsigned) {
  if (gpu->current == 0) return kInvalidValue;
  stream->items.push_back({{}, event, event->recorded});
  return kSuccess;
}

DriverStatus synchronize_event(EventHandle* event) {
  while (event->reached < event->recorded)
    if (!gpu->step()) return kLaunchFailed;
  return kSuccess;
}

DriverStatus allocate_host(void** memory, size_t bytes) {
  std::vector<std::byte> taken(bytes, std::byte{0xff});
  std::byte* start = taken.data();
  gpu->pinned.emplace(start, std::move(taken));
  *memory = start;
  return kSuccess;
}

DriverStatus free_host(void* memory) {
  for (const auto& stream : gpu->streams)
    if (!gpu->drain(*stream)) return kLaunchFailed;
  return gpu->pinned.erase(static_cast<std::byte*>(memory)) == 1 ? kSuccess : kInvalidValue;
}

DriverStatus create_event(EventHandle** event, unsigned) {
  *event = gpu->events.emplace_back(std::make_unique<EventHandle>()).get();
  return kSuccess;
}

DriverStatus load_module(ModuleHandle** module, const void* image) {
  if (std::string_view(static_cast<const char*>(image)) != kEmulatedImage) return kNoBinaryForGpu;
  *module = &gpu->module;
  return kSuccess;
}

DriverStatus function(FunctionHandle** handle, ModuleHandle*, const char* name) {
  const auto& kernels = gpu->setup.kernels;
  const auto kernel = std::find_if(kernels.begin(), kernels.end(),
                                   [&](const Kernel& one) { return one.name == name; });
  if (kernel == kernels.end()) return kNotFound;
  *handle = &gpu->functions.try_emplace(kernel->name, FunctionHandle{&*kernel}).first->second;
  return kSuccess;
}

DriverStatus set_function_attribute(FunctionHandle* handle, FunctionAttribute, int value) {
  if (value < 0 || static_cast<size_t>(value) > kSharedBytes) return kInvalidValue;
  handle->most_shared_bytes = static_cast<size_t>(value);
  return kSuccess;
}

DriverStatus launch(FunctionHandle* handle, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                    unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared_bytes,
                    StreamHandle* stream, void** arguments, void**) {
  if (!gpu->launching) return kLaunchFailed;
  const Launch size{{grid_x, grid_y, grid_z}, {block_x, block_y, block_z}, shared_bytes};
  if (size.grid.count() == 0 || size.block.count() == 0 || size.block.count() > 1024 ||
      shared_bytes > handle->most_shared_bytes)
    return kInvalidValue;
  const Kernel& kernel = *handle->kernel;
  const auto* first = static_cast<const std::byte*>(arguments[0]);
  std::vector<std::byte> own(first, first + kernel.argument_bytes);
  return enqueue(stream, [=, &kernel] {
    Machine({gpu->setup.seed}).run(size, [&] { kernel.run(own.data()); });
  });
}

Driver make_driver() {
  return {
      .init = [](unsigned) { return kSuccess; },
      .driver_version =
          [](int* version) {
            *version = 13000;
            return kSuccess;
          },
      .error_name =
          [](DriverStatus status, const char** name) {
            *name = status == kOutOfMemory    ? "CUDA_ERROR_OUT_OF_MEMORY"
                    : status == kInvalidValue ? "CUDA_ERROR_INVALID_VALUE"
                    : status == kNotFound     ? "CUDA_ERROR_NOT_FOUND"
                    : status == kLaunchFailed ? "CUDA_ERROR_LAUNCH_FAILED"
                                              : "CUDA_ERROR_UNKNOWN";
            return kSuccess;
          },
      .device_count =
          [](int* count) {
            *count = 1;
            return kSuccess;
          },
      .device =
          [](int* device, int ordinal) {
            *device = ordinal;
            return ordinal == 0 ? kSuccess : kNoDevice;
          },
      .device_name =
          [](char* name, int length, int) {
            std::strncpy(name, "emulated", static_cast<size_t>(length));
            return kSuccess;
          },
      .device_attribute = device_attribute,
      .retain_context =
          [](ContextHandle** context, int) {
            *context = &gpu->context;
            return kSuccess;
          },
      .release_context = [](int) { return kSuccess; },
      .push_context =
          [](ContextHandle*) {
            gpu->current++;
            return kSuccess;
          },
      .pop_context =
          [](ContextHandle** context) {
            if (gpu->current == 0) return kInvalidValue;
            gpu->current--;
            *context = &gpu->context;
            return kSuccess;
          },
      .memory_info =
          [](size_t* free, size_t* total) {
            *total = gpu->setup.memory_bytes;
            *free = *total - gpu->allocated;
            return kSuccess;
          },
      .allocate = allocate,
      .free = release,
      .allocate_host = allocate_host,
      .free_host = free_host,
      .copy_to_device = copy_to_device,
      .copy_to_host = copy_to_host,
      .copy_on_device = copy_on_device,
      .fill = fill,
      .create_stream = create_stream,
      .destroy_stream = destroy_stream,
      .synchronize_stream = synchronize_stream,
      .wait_for_event = wait_for_event,
      .create_event = create_event,
      .destroy_event = [](EventHandle*) { return kSuccess; },  // streams may still wait for it
      .record_event = record_event,
      .synchronize_event = synchronize_event,
      .load_module = load_module,
      .unload_module = [](ModuleHandle*) { return kSuccess; },
      .function = function,
      .set_function_attribute = set_function_attribute,
      .launch = launch,
  };
}

}  // namespace

EmulatedGpu::EmulatedGpu(const GpuSetup& setup) : state_(std::make_unique<State>()) {
  state_->setup = setup;
  state_->random.seed(setup.seed);
  state_->driver = make_driver();
  gpu = state_.get();
}

EmulatedGpu::~EmulatedGpu() {
  for (const auto& [pointer, bytes] : state_->allocations)
    ::operator delete (host<void>(pointer), std::align_val_t{256});
  gpu = nullptr;
}

const Driver& EmulatedGpu::driver() const { return state_->driver; }

int EmulatedGpu::done() const { return state_->done; }

void EmulatedGpu::set_launching(bool possible) { state_->launching = possible; }

void EmulatedGpu::enqueue(StreamHandle* stream, std::function<void()> work) {
  stream->items.push_back({std::move(work)});
}

const std::string& EmulatedGpu::fault() const { return state_->fault; }

}  // namespace emulator
}  // namespace sightline::attention::cuda
