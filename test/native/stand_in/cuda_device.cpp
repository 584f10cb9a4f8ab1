#include "cuda_device.h"

#include <deque>
#include <set>
#include <stdexcept>
#include <unordered_map>

#include "attention/cuda/gpu.h"
#include "ggml-backend-impl.h"
#include "ggml-impl.h"

namespace sightline::test {

namespace cuda = attention::cuda;

constexpr int64_t kLongBatch = 32;

struct CudaDevice::State {
  cuda::emulator::EmulatedGpu& emulated;
  cuda::Gpu gpu;
  std::unique_ptr<cuda::Stream> transfers;  // of data to and from tensors, which are waited for
  ggml_backend_dev_t cpu;
  ggml_backend_t cpu_backend;
  ggml_backend_buffer_type buffer_type{};
  ggml_backend_reg registry{};
  ggml_backend_device device{};
  std::set<uint64_t> seen;
  int graphs = 0, repeated = 0;

  State(cuda::emulator::EmulatedGpu& emulated_gpu, ggml_backend_dev_t cpu_device)
      : emulated(emulated_gpu),
        gpu(emulated_gpu.driver(), 0),
        cpu(cpu_device),
        cpu_backend(ggml_backend_dev_init(cpu_device, nullptr)) {
    // Threads that wait for each other cost more than such small graphs take.
    const auto set_threads =
        reinterpret_cast<ggml_backend_set_n_threads_t>(ggml_backend_reg_get_proc_address(
            ggml_backend_dev_backend_reg(cpu_device), "ggml_backend_set_n_threads"));
    set_threads(cpu_backend, 1);
    const cuda::Gpu::Current current(gpu);
    transfers = std::make_unique<cuda::Stream>(gpu);
  }
  ~State() { ggml_backend_free(cpu_backend); }

  const cuda::Driver& driver() const { return emulated.driver(); }
};

namespace {

using State = CudaDevice::State;

cuda::DevicePointer address(const void* place) { return reinterpret_cast<uintptr_t>(place); }

void require(bool holds, const char* what) {
  if (!holds) throw std::logic_error(std::string("ggml's stand-in: ") + what);
}

// ---- buffers ----

struct Buffer {
  State& state;
  void* base;
};

Buffer& of(ggml_backend_buffer_t buffer) { return *static_cast<Buffer*>(buffer->context); }

void buffer_free(ggml_backend_buffer_t buffer) {
  const Buffer& self = of(buffer);
  const cuda::Gpu::Current current(self.state.gpu);
  self.state.driver().free(address(self.base));
  delete &self;
}

void* buffer_base(ggml_backend_buffer_t buffer) { return of(buffer).base; }

void buffer_set(ggml_backend_buffer_t buffer, ggml_tensor* tensor, const void* data, size_t offset,
                size_t size) {
  State& state = of(buffer).state;
  const cuda::Gpu::Current current(state.gpu);
  const cuda::DevicePointer to = address(static_cast<char*>(tensor->data) + offset);
  require(state.driver().copy_to_device(to, data, size, state.transfers->handle()) == 0, "set");
  state.transfers->synchronize();
}

void buffer_memset(ggml_backend_buffer_t buffer, ggml_tensor* tensor, uint8_t value, size_t offset,
                   size_t size) {
  State& state = of(buffer).state;
  const cuda::Gpu::Current current(state.gpu);
  const cuda::DevicePointer to = address(static_cast<char*>(tensor->data) + offset);
  require(state.driver().fill(to, value, size, state.transfers->handle()) == 0, "memset");
  state.transfers->synchronize();
}

void buffer_get(ggml_backend_buffer_t buffer, const ggml_tensor* tensor, void* data, size_t offset,
                size_t size) {
  State& state = of(buffer).state;
  const cuda::Gpu::Current current(state.gpu);
  const cuda::DevicePointer from = address(static_cast<char*>(tensor->data) + offset);
  require(state.driver().copy_to_host(data, from, size, state.transfers->handle()) == 0, "get");
  state.transfers->synchronize();
}

void buffer_clear(ggml_backend_buffer_t buffer, uint8_t value) {
  State& state = of(buffer).state;
  const cuda::Gpu::Current current(state.gpu);
  require(state.driver().fill(address(of(buffer).base), value, buffer->size,
                              state.transfers->handle()) == 0,
          "clear");
  state.transfers->synchronize();
}

State& of(ggml_backend_buffer_type_t type) { return *static_cast<State*>(type->context); }

ggml_backend_buffer_t type_allocate(ggml_backend_buffer_type_t type, size_t size) {
  State& state = of(type);
  const cuda::Gpu::Current current(state.gpu);
  cuda::DevicePointer memory = 0;
  if (state.driver().allocate(&memory, std::max(size, size_t{1})) != 0) return nullptr;
  ggml_backend_buffer_i interface {};
  interface.free_buffer = buffer_free;
  interface.get_base = buffer_base;
  interface.memset_tensor = buffer_memset;
  interface.set_tensor = buffer_set;
  interface.get_tensor = buffer_get;
  interface.clear = buffer_clear;
  void* base = reinterpret_cast<void*>(static_cast<uintptr_t>(memory));
  return ggml_backend_buffer_init(type, interface, new Buffer{state, base}, size);
}

// ---- the backend ----

struct Backend {
  State& state;
  cuda::Stream stream;
};

Backend& of(ggml_backend_t backend) { return *static_cast<Backend*>(backend->context); }

/// A graph as it was when it was given: what a program does with its tensors afterwards does not
/// matter any more.
class Recorded {
 public:
  explicit Recorded(const ggml_cgraph* graph)
      : context_(ggml_init({ggml_graph_overhead_custom(static_cast<size_t>(graph->n_nodes), false),
                            nullptr, true})),
        graph_(ggml_new_graph_custom(context_.get(), static_cast<size_t>(graph->n_nodes), false)) {
    for (int i = 0; i < graph->n_nodes; i++) graph_->nodes[i] = copy_of(graph->nodes[i]);
    graph_->n_nodes = graph->n_nodes;
  }

  ggml_cgraph* graph() { return graph_; }

 private:
  struct Free {
    void operator()(ggml_context* context) const { ggml_free(context); }
  };

  ggml_tensor* copy_of(const ggml_tensor* tensor) {
    if (const auto found = copies_.find(tensor); found != copies_.end()) return found->second;
    ggml_tensor* copy = &tensors_.emplace_back(*tensor);
    copies_.emplace(tensor, copy);
    for (ggml_tensor*& source : copy->src)
      if (source != nullptr) source = data_of(source);
    copy->view_src = nullptr;
    return copy;
  }

  /// A source: its own sources are not looked at.
  ggml_tensor* data_of(const ggml_tensor* tensor) {
    if (const auto found = copies_.find(tensor); found != copies_.end()) return found->second;
    ggml_tensor* copy = &tensors_.emplace_back(*tensor);
    copies_.emplace(tensor, copy);
    std::fill(std::begin(copy->src), std::end(copy->src), nullptr);
    copy->view_src = nullptr;
    return copy;
  }

  std::unique_ptr<ggml_context, Free> context_;
  ggml_cgraph* graph_;
  std::deque<ggml_tensor> tensors_;
  std::unordered_map<const ggml_tensor*, ggml_tensor*> copies_;
};

const char* backend_name(ggml_backend_t) { return "CUDA0"; }

void backend_free(ggml_backend_t backend) {
  const cuda::Gpu::Current current(of(backend).state.gpu);
  delete static_cast<Backend*>(backend->context);
  delete backend;
}

ggml_status backend_compute(ggml_backend_t backend, ggml_cgraph* graph) {
  Backend& self = of(backend);
  State& state = self.state;
  state.graphs++;
  if (graph->uid != 0 && !state.seen.insert(graph->uid).second) state.repeated++;
  for (int i = 0; i < graph->n_nodes; i++)
    require(graph->nodes[i]->data != nullptr, "a node without data");
  auto recorded = std::make_shared<Recorded>(graph);
  state.emulated.enqueue(self.stream.handle(), [&state, recorded] {
    require(ggml_backend_graph_compute(state.cpu_backend, recorded->graph()) == 0, "compute");
  });
  return GGML_STATUS_SUCCESS;
}

void backend_set_async(ggml_backend_t backend, ggml_tensor* tensor, const void* data, size_t offset,
                       size_t size) {
  State& state = of(backend).state;
  require(tensor->buffer->buft == &state.buffer_type, "unsupported buffer type");
  const cuda::Gpu::Current current(state.gpu);
  const cuda::DevicePointer to = address(static_cast<char*>(tensor->data) + offset);
  require(state.driver().copy_to_device(to, data, size, of(backend).stream.handle()) == 0, "set");
}

void backend_get_async(ggml_backend_t backend, const ggml_tensor* tensor, void* data, size_t offset,
                       size_t size) {
  State& state = of(backend).state;
  require(tensor->buffer->buft == &state.buffer_type, "unsupported buffer type");
  const cuda::Gpu::Current current(state.gpu);
  const cuda::DevicePointer from = address(static_cast<char*>(tensor->data) + offset);
  require(state.driver().copy_to_host(data, from, size, of(backend).stream.handle()) == 0, "get");
}

void backend_synchronize(ggml_backend_t backend) {
  const cuda::Gpu::Current current(of(backend).state.gpu);
  of(backend).stream.synchronize();
}

void backend_record(ggml_backend_t backend, ggml_backend_event_t event) {
  const cuda::Gpu::Current current(of(backend).state.gpu);
  of(backend).stream.record(static_cast<cuda::EventHandle*>(event->context));
}

void backend_wait(ggml_backend_t backend, ggml_backend_event_t event) {
  const cuda::Gpu::Current current(of(backend).state.gpu);
  of(backend).stream.wait_for(static_cast<cuda::EventHandle*>(event->context));
}

ggml_guid kGuid = {0x01, 0x02, 0x03};

// ---- the device ----

State& of(ggml_backend_dev_t device) { return *static_cast<State*>(device->context); }

ggml_backend_t device_init(ggml_backend_dev_t device, const char*) {
  State& state = of(device);
  const cuda::Gpu::Current current(state.gpu);
  ggml_backend_i interface {};
  interface.get_name = backend_name;
  interface.free = backend_free;
  interface.set_tensor_async = backend_set_async;
  interface.get_tensor_async = backend_get_async;
  interface.synchronize = backend_synchronize;
  interface.graph_compute = backend_compute;
  interface.event_record = backend_record;
  interface.event_wait = backend_wait;
  return new ggml_backend{&kGuid, interface, device, new Backend{state, cuda::Stream(state.gpu)}};
}

void device_memory(ggml_backend_dev_t device, size_t* free, size_t* total) {
  const cuda::Gpu::Current current(of(device).gpu);
  const cuda::GpuMemory memory = of(device).gpu.memory();
  *free = memory.free;
  *total = memory.total;
}

void device_properties(ggml_backend_dev_t device, ggml_backend_dev_props* properties) {
  *properties = {};
  properties->name = "CUDA0";
  properties->description = "emulated";
  properties->type = GGML_BACKEND_DEVICE_TYPE_GPU;
  device_memory(device, &properties->memory_free, &properties->memory_total);
  properties->caps.async = true;
  properties->caps.events = true;
}

/// As ggml's: products of long batches are worth sending their weights for.
bool device_offloads(ggml_backend_dev_t, const ggml_tensor* op) {
  return op->op == GGML_OP_MUL_MAT && op->ne[1] >= kLongBatch;
}

ggml_backend_event_t device_new_event(ggml_backend_dev_t device) {
  const cuda::Gpu::Current current(of(device).gpu);
  cuda::EventHandle* event = nullptr;
  require(of(device).driver().create_event(&event, 0) == 0, "event");
  return new ggml_backend_event{device, event};
}

void device_free_event(ggml_backend_dev_t device, ggml_backend_event_t event) {
  of(device).driver().destroy_event(static_cast<cuda::EventHandle*>(event->context));
  delete event;
}

void device_await_event(ggml_backend_dev_t device, ggml_backend_event_t event) {
  of(device).driver().synchronize_event(static_cast<cuda::EventHandle*>(event->context));
}

}  // namespace

CudaDevice::CudaDevice(cuda::emulator::EmulatedGpu& gpu, ggml_backend_dev_t cpu)
    : state_(std::make_unique<State>(gpu, cpu)) {
  State& state = *state_;
  state.buffer_type.iface.get_name = [](ggml_backend_buffer_type_t) { return "CUDA0"; };
  state.buffer_type.iface.alloc_buffer = type_allocate;
  state.buffer_type.iface.get_alignment = [](ggml_backend_buffer_type_t) { return size_t{128}; };
  state.buffer_type.device = &state.device;
  state.buffer_type.context = &state;

  state.registry.api_version = GGML_BACKEND_API_VERSION;
  state.registry.iface.get_name = [](ggml_backend_reg_t) { return "CUDA"; };
  state.registry.iface.get_device_count = [](ggml_backend_reg_t) { return size_t{1}; };
  state.registry.iface.get_device = [](ggml_backend_reg_t registry, size_t) {
    return &static_cast<State*>(registry->context)->device;
  };
  state.registry.iface.get_proc_address = [](ggml_backend_reg_t, const char*) -> void* {
    return nullptr;
  };
  state.registry.context = &state;

  ggml_backend_device_i& interface = state.device.iface;
  interface.get_name = [](ggml_backend_dev_t) { return "CUDA0"; };
  interface.get_description = [](ggml_backend_dev_t) { return "emulated"; };
  interface.get_memory = device_memory;
  interface.get_type = [](ggml_backend_dev_t) { return GGML_BACKEND_DEVICE_TYPE_GPU; };
  interface.get_props = device_properties;
  interface.init_backend = device_init;
  interface.get_buffer_type = [](ggml_backend_dev_t device) { return &of(device).buffer_type; };
  interface.supports_op = [](ggml_backend_dev_t device, const ggml_tensor* op) {
    return ggml_backend_dev_supports_op(of(device).cpu, op);
  };
  interface.supports_buft = [](ggml_backend_dev_t device, ggml_backend_buffer_type_t type) {
    return type == &of(device).buffer_type;
  };
  interface.offload_op = device_offloads;
  interface.event_new = device_new_event;
  interface.event_free = device_free_event;
  interface.event_synchronize = device_await_event;
  state.device.reg = &state.registry;
  state.device.context = &state;
}

CudaDevice::~CudaDevice() {
  const cuda::Gpu::Current current(state_->gpu);
  state_->transfers.reset();
}

ggml_backend_dev_t CudaDevice::handle() const { return &state_->device; }
int CudaDevice::graphs() const { return state_->graphs; }
int CudaDevice::repeated_graphs() const { return state_->repeated; }

}  // namespace sightline::test
