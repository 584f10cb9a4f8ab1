#include "device/device.h"

#include <cstring>
#include <map>
#include <new>
#include <optional>
#include <string>

#include "attention/cpu/kernel.h"
#include "device/cache_tensor.h"
#include "device/step.h"
#include "ggml-backend-impl.h"
#include "ggml-cpu.h"

namespace sightline::device {
namespace {

constexpr const char* kName = "sightline";

// llama.cpp asks for some bytes per cache tensor; their contents are never touched.
constexpr size_t kStandInBytes = 64;

size_t total(const std::map<std::string, size_t>& bytes) {
  size_t sum = 0;
  for (const auto& [name, size] : bytes) sum += size;
  return sum;
}

ggml_guid kGuid = {0x5e, 0x2c, 0x91, 0x0a, 0x77, 0x4d, 0x43, 0xb8,
                   0x9d, 0x11, 0x66, 0xf0, 0x3c, 0xa5, 0xe2, 0x18};

}  // namespace

struct Device::Implementation {
  ggml_backend_dev_t inner;
  ggml_backend_buffer_type buffer_type{};
  ggml_backend_reg registry{};
  ggml_backend_device device{};

  std::optional<cache::Pool> pool;
  std::optional<cache::Cache> cache;  // after the pool: it gives its blocks back first
  const attention::cpu::Kernel* kernel = attention::cpu::choose_kernel();
  attention::cpu::Workspace workspace;
  int32_t capacity = 0;
  Failure failure = Failure::none;
  // Cache tensors by name: bytes of a token in those that are ours, all bytes of the others.
  std::map<std::string, size_t> owned;
  std::map<std::string, size_t> passed;

  template <typename Function>
  Function inner_function(const char* name) const {
    ggml_backend_reg_t inner_registry = ggml_backend_dev_backend_reg(inner);
    return reinterpret_cast<Function>(ggml_backend_reg_get_proc_address(inner_registry, name));
  }
};

namespace {

using Implementation = Device::Implementation;

Implementation& of(ggml_backend_dev_t device) {
  return *static_cast<Implementation*>(device->context);
}

// ---- the backend: one per llama context ----

struct Backend {
  Implementation* device;
  ggml_backend_t inner;
  int threads = 1;
};

Backend& of(ggml_backend_t backend) { return *static_cast<Backend*>(backend->context); }

const char* backend_name(ggml_backend_t) { return kName; }

void backend_free(ggml_backend_t backend) {
  ggml_backend_free(of(backend).inner);
  delete static_cast<Backend*>(backend->context);
  delete backend;
}

ggml_status backend_compute(ggml_backend_t backend, ggml_cgraph* graph) try {
  Backend& self = of(backend);
  Implementation& device = *self.device;
  if (!device.cache.has_value()) return ggml_backend_graph_compute(self.inner, graph);
  Step step({*device.cache, *device.kernel, device.workspace, device.capacity, self.threads});
  device.failure = step.prepare(graph);
  switch (device.failure) {
    case Failure::none:
      break;
    case Failure::cache_exhausted:
      return GGML_STATUS_ALLOC_FAILED;
    case Failure::unsupported_operation:
      return GGML_STATUS_FAILED;
  }
  const ggml_status status = ggml_backend_graph_compute(self.inner, graph);
  if (status == GGML_STATUS_SUCCESS) step.finish();
  return status;
} catch (const std::bad_alloc&) {
  return GGML_STATUS_ALLOC_FAILED;
}

ggml_backend_t device_init_backend(ggml_backend_dev_t device, const char* parameters) {
  ggml_backend_t inner = ggml_backend_dev_init(of(device).inner, parameters);
  if (inner == nullptr) return nullptr;
  ggml_backend_i interface {};
  interface.get_name = backend_name;
  interface.free = backend_free;
  interface.graph_compute = backend_compute;
  return new ggml_backend{&kGuid, interface, device, new Backend{&of(device), inner}};
}

void backend_set_threads(ggml_backend_t backend, int threads) {
  Backend& self = of(backend);
  self.threads = threads;
  const auto set =
      self.device->inner_function<ggml_backend_set_n_threads_t>("ggml_backend_set_n_threads");
  if (set != nullptr) set(self.inner, threads);
}

void backend_set_abort(ggml_backend_t backend, ggml_abort_callback callback, void* data) {
  const auto set = of(backend).device->inner_function<ggml_backend_set_abort_callback_t>(
      "ggml_backend_set_abort_callback");
  if (set != nullptr) set(of(backend).inner, callback, data);
}

// ---- the buffer type: the inner device's memory, but nothing for owned cache tensors ----

Implementation& of(ggml_backend_buffer_type_t type) {
  return *static_cast<Implementation*>(type->context);
}

ggml_backend_buffer_type_t inner_type(ggml_backend_buffer_type_t type) {
  return ggml_backend_dev_buffer_type(of(type).inner);
}

const char* type_name(ggml_backend_buffer_type_t) { return kName; }

ggml_backend_buffer_t type_allocate(ggml_backend_buffer_type_t type, size_t size) {
  ggml_backend_buffer_t buffer = ggml_backend_buft_alloc_buffer(inner_type(type), size);
  if (buffer != nullptr) buffer->buft = type;
  return buffer;
}

size_t type_alignment(ggml_backend_buffer_type_t type) {
  return ggml_backend_buft_get_alignment(inner_type(type));
}

size_t type_allocated_size(ggml_backend_buffer_type_t type, const ggml_tensor* tensor) {
  Implementation& device = of(type);
  if (tensor->view_src == nullptr) {
    if (owned_cache(tensor, device.capacity)) {
      device.owned[tensor->name] = tensor->nb[1];
      return kStandInBytes;
    }
    if (std::strncmp(tensor->name, "cache_", 6) == 0)
      device.passed[tensor->name] = ggml_nbytes(tensor);
  }
  return ggml_backend_buft_get_alloc_size(inner_type(type), tensor);
}

bool type_is_host(ggml_backend_buffer_type_t type) {
  return ggml_backend_buft_is_host(inner_type(type));
}

// ---- the device ----

const char* device_name(ggml_backend_dev_t) { return kName; }

const char* device_description(ggml_backend_dev_t device) {
  return ggml_backend_dev_description(of(device).inner);
}

void device_memory(ggml_backend_dev_t device, size_t* free, size_t* total) {
  ggml_backend_dev_memory(of(device).inner, free, total);
}

// llama.cpp puts weights and caches on GPUs; the device takes that place whatever it wraps.
enum ggml_backend_dev_type device_type(ggml_backend_dev_t) { return GGML_BACKEND_DEVICE_TYPE_GPU; }

void device_properties(ggml_backend_dev_t device, ggml_backend_dev_props* properties) {
  ggml_backend_dev_get_props(of(device).inner, properties);
  properties->name = kName;
  properties->type = device_type(device);
}

ggml_backend_buffer_type_t device_buffer_type(ggml_backend_dev_t device) {
  return &of(device).buffer_type;
}

ggml_backend_buffer_t device_buffer_from_host(ggml_backend_dev_t device, void* data, size_t size,
                                              size_t largest_tensor) {
  return ggml_backend_dev_buffer_from_host_ptr(of(device).inner, data, size, largest_tensor);
}

using ExtraTypes = ggml_backend_buffer_type_t*;  // ends with null

ExtraTypes device_extra_types(ggml_backend_dev_t device) {
  const Implementation& self = of(device);
  const auto get =
      self.inner_function<ggml_backend_dev_get_extra_bufts_t>("ggml_backend_dev_get_extra_bufts");
  return get != nullptr ? get(self.inner) : nullptr;
}

/// Whether the inner device would rather have this operation's weights in one of its extra
/// (repacking) buffer types.
bool prefers_extra_type(ggml_backend_dev_t device, const ggml_tensor* op) {
  for (ExtraTypes type = device_extra_types(device); type != nullptr && *type != nullptr; type++) {
    ggml_backend_buffer_t probe = ggml_backend_buft_alloc_buffer(*type, 0);
    ggml_tensor weights = *op->src[0];
    weights.buffer = probe;
    ggml_tensor copy = *op;
    copy.src[0] = &weights;
    const bool supported = ggml_backend_dev_supports_op(of(device).inner, &copy);
    ggml_backend_buffer_free(probe);
    if (supported) return true;
  }
  return false;
}

bool device_supports_op(ggml_backend_dev_t device, const ggml_tensor* op) {
  // A loader that looks for a home for weights probes with an empty buffer. It tries a GPU's own
  // buffer type before the extra ones; declining here gives it the order it has for the CPU.
  const ggml_tensor* weights = op->src[0];
  const bool probes = (op->op == GGML_OP_MUL_MAT || op->op == GGML_OP_MUL_MAT_ID) &&
                      weights->buffer != nullptr && weights->buffer->size == 0 &&
                      weights->buffer->buft == &of(device).buffer_type;
  if (probes && prefers_extra_type(device, op)) return false;
  return ggml_backend_dev_supports_op(of(device).inner, op);
}

bool device_supports_type(ggml_backend_dev_t device, ggml_backend_buffer_type_t type) {
  return type == &of(device).buffer_type || ggml_backend_dev_supports_buft(of(device).inner, type);
}

// ---- the registry that the device answers for; it is not entered into ggml's global one ----

const char* registry_name(ggml_backend_reg_t) { return kName; }
size_t registry_count(ggml_backend_reg_t) { return 1; }

ggml_backend_dev_t registry_device(ggml_backend_reg_t registry, size_t) {
  return &static_cast<Implementation*>(registry->context)->device;
}

void* registry_function(ggml_backend_reg_t, const char* name) {
  if (std::strcmp(name, "ggml_backend_set_n_threads") == 0)
    return reinterpret_cast<void*>(backend_set_threads);
  if (std::strcmp(name, "ggml_backend_set_abort_callback") == 0)
    return reinterpret_cast<void*>(backend_set_abort);
  if (std::strcmp(name, "ggml_backend_dev_get_extra_bufts") == 0)
    return reinterpret_cast<void*>(device_extra_types);
  return nullptr;
}

}  // namespace

Device::Device(ggml_backend_dev_t inner) : implementation_(std::make_unique<Implementation>()) {
  Implementation& self = *implementation_;
  self.inner = inner;

  self.buffer_type.iface.get_name = type_name;
  self.buffer_type.iface.alloc_buffer = type_allocate;
  self.buffer_type.iface.get_alignment = type_alignment;
  self.buffer_type.iface.get_alloc_size = type_allocated_size;
  self.buffer_type.iface.is_host = type_is_host;
  self.buffer_type.device = &self.device;
  self.buffer_type.context = &self;

  self.registry.api_version = GGML_BACKEND_API_VERSION;
  self.registry.iface.get_name = registry_name;
  self.registry.iface.get_device_count = registry_count;
  self.registry.iface.get_device = registry_device;
  self.registry.iface.get_proc_address = registry_function;
  self.registry.context = &self;

  ggml_backend_device_i& interface = self.device.iface;
  interface.get_name = device_name;
  interface.get_description = device_description;
  interface.get_memory = device_memory;
  interface.get_type = device_type;
  interface.get_props = device_properties;
  interface.init_backend = device_init_backend;
  interface.get_buffer_type = device_buffer_type;
  interface.buffer_from_host_ptr = device_buffer_from_host;
  interface.supports_op = device_supports_op;
  interface.supports_buft = device_supports_type;
  self.device.reg = &self.registry;
  self.device.context = &self;
}

Device::~Device() = default;

ggml_backend_dev_t Device::handle() const { return &implementation_->device; }

void Device::own_cache(const Options& options) {
  Implementation& self = *implementation_;
  self.capacity = options.capacity;
  self.pool.emplace(options.budget_bytes);
  self.cache.emplace(options.policy, *self.pool);
}

cache::Cache& Device::cache() { return *implementation_->cache; }
const cache::Pool& Device::pool() const { return *implementation_->pool; }
std::string_view Device::kernel_name() const { return implementation_->kernel->name; }
Failure Device::failure() const { return implementation_->failure; }

int Device::owned_layers() const {
  return static_cast<int>(implementation_->owned.size() / 2);  // keys and values
}

size_t Device::owned_token_bytes() const { return total(implementation_->owned); }
size_t Device::passed_bytes() const { return total(implementation_->passed); }

}  // namespace sightline::device
