#include "device/device.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <string>

#include "device/cpu_run.h"
#include "device/cuda_run.h"
#include "device/graph.h"
#include "device/implementation.h"
#include "device/step.h"
#include "ggml-cpu.h"
#include "ggml-impl.h"

namespace sightline::device {
namespace {

ggml_guid kGuid = {0x5e, 0x2c, 0x91, 0x0a, 0x77, 0x4d, 0x43, 0xb8,
                   0x9d, 0x11, 0x66, 0xf0, 0x3c, 0xa5, 0xe2, 0x18};

using Implementation = Device::Implementation;

Place& of(ggml_backend_dev_t device) { return *static_cast<Place*>(device->context); }

// ---- the backend: one per llama context ----

struct Backend {
  Backend(Place& at, ggml_backend_t inner_backend) : place(at), inner(inner_backend) {}

  Place& place;
  ggml_backend_t inner;
  int threads = 0;  // at most so many run our operations
  attention::cpu::Workspace workspace;
  std::optional<CudaContext> cuda;  // on a GPU
  ggml_abort_callback aborts = nullptr;
  void* aborts_data = nullptr;
};

Backend& of(ggml_backend_t backend) { return *static_cast<Backend*>(backend->context); }

const char* backend_name(ggml_backend_t backend) { return of(backend).place.name.c_str(); }

void backend_free(ggml_backend_t backend) {
  ggml_backend_t inner = of(backend).inner;
  if (inner->iface.synchronize != nullptr) ggml_backend_synchronize(inner);
  delete static_cast<Backend*>(backend->context);
  ggml_backend_free(inner);
  delete backend;
}

/// Every tensor of a graph's nodes, once for each place it stands at.
template <typename Visit>
void each_tensor(const ggml_cgraph* graph, Visit visit) {
  for (int i = 0; i < graph->n_nodes; i++) {
    visit(graph->nodes[i]);
    for (ggml_tensor* source : graph->nodes[i]->src)
      if (source != nullptr) visit(source);
  }
}

std::set<CacheBuffer*> caches_in(const ggml_cgraph* graph) {
  std::set<CacheBuffer*> caches;
  each_tensor(graph, [&](const ggml_tensor* tensor) {
    if (CacheBuffer* cache = cache_buffer(tensor)) caches.insert(cache);
  });
  return caches;
}

/// The graph's views of a cache that was given up were made for other memory.
void relocate(const ggml_cgraph* graph, const CacheBuffer& cache) {
  each_tensor(graph, [&](ggml_tensor* tensor) {
    if (tensor->view_src != nullptr && cache.holds(tensor))
      tensor->data = static_cast<char*>(tensor->view_src->data) + tensor->view_offs;
  });
}

/// Whether a graph attends to rows of a cache that was given up after they had been dropped.
bool reads_missing(const Inputs& inputs, const ggml_cgraph* graph, CacheBuffer& cache) {
  for (int i = 0; i < graph->n_nodes && cache.any_missing(); i++) {
    const ggml_tensor* node = graph->nodes[i];
    if (node->op == GGML_OP_SET_ROWS && cache.holds(node)) {
      for (const int64_t row : inputs.row_numbers(node->src[1])) cache.note_write(row);
    } else if (node->op == GGML_OP_FLASH_ATTN_EXT && cache.holds(node->src[1])) {
      const auto missing = [&](int64_t row) { return cache.is_missing(row); };
      if (sees(node->src[3], node->src[0]->ne[1], node->src[1]->ne[1], missing)) return true;
    }
  }
  return false;
}

/// Prepares a graph, with the device's mutex held: what of it is ours is in the step then, and the
/// rest is the inner device's.
Failure prepare(const Place& place, ggml_cgraph* graph, Step& step) {
  Implementation& device = place.device;
  const std::set<CacheBuffer*> caches = caches_in(graph);
  if (caches.empty()) return Failure::none;
  const auto give_up = [&](const std::string& why) {
    for (CacheBuffer* cache : caches) {
      if (cache->holder() != CacheBuffer::Holder::ours) continue;
      (void)cache->give_up(place.inner_type());
      log_given_up(*cache, why.c_str());
    }
  };
  for (const CacheBuffer* cache : caches)
    if (cache->half_set()) give_up("keys were restored without values");
  Failure failure = step.prepare(graph);
  if (failure == Failure::unsupported_operation) {
    if (!device.options.gives_up) {
      GGML_LOG_ERROR("%s: the cache cannot do %s\n", kName, step.unsupported().c_str());
      return failure;
    }
    give_up("it cannot do " + step.unsupported());
    failure = Failure::none;
  }
  for (CacheBuffer* cache : caches) {
    switch (cache->holder()) {
      case CacheBuffer::Holder::ours:
        break;
      case CacheBuffer::Holder::theirs:
        relocate(graph, *cache);
        if (reads_missing(device.inputs, graph, *cache)) failure = Failure::tokens_missing;
        break;
      case CacheBuffer::Holder::lost:
        failure = Failure::tokens_missing;
        break;
    }
  }
  return failure;
}

bool takes_any_head_dim(int) { return true; }

void use_threadpool(const Backend& self) {
  const auto set = self.place.inner_function<decltype(&ggml_backend_cpu_set_threadpool)>(
      "ggml_backend_cpu_set_threadpool");
  if (set != nullptr) set(self.inner, self.place.device.threadpool);
}

/// The graph's nodes, where a profile is to have them.
std::vector<ProfiledNode> nodes_to_profile(const Backend& self, const Step& step,
                                           const ggml_cgraph* graph) {
  const Implementation& device = self.place.device;
  if (device.profile == nullptr) return {};
  const char* inner = ggml_backend_dev_name(self.place.inner);
  if (self.cuda) return profiled_nodes(graph, step, {inner, "cuda", "cuda"});
  return profiled_nodes(graph, step, {inner, std::string(device.kernel->name), "portable"});
}

/// Runs a graph that was prepared. On a GPU it is only put into its queue, unless it is profiled.
ggml_status run(Backend& self, const Step& step, ggml_cgraph* graph) {
  Profile* profile = self.place.device.profile;
  const std::vector<ProfiledNode> nodes = nodes_to_profile(self, step, graph);
  if (!self.cuda) {
    if (self.place.device.threadpool != nullptr) use_threadpool(self);
    CpuRun run({*self.place.device.kernel, self.workspace, self.threads}, step);
    if (profile != nullptr) return run.compute(self.inner, graph, nodes, *profile);
    return ggml_backend_graph_compute(self.inner, graph);
  }
  if (step.appends().empty() && step.attentions().empty()) {
    return profile != nullptr ? compute_each(self.inner, graph, nodes, *profile)
                              : ggml_backend_graph_compute_async(self.inner, graph);
  }
  CudaRun run(*self.cuda, step, graph);
  const auto aborts = [&] { return self.aborts != nullptr && self.aborts(self.aborts_data); };
  return profile != nullptr ? run.submit(aborts, nodes, *profile) : run.submit(aborts);
}

ggml_status backend_compute(ggml_backend_t backend, ggml_cgraph* graph) try {
  Backend& self = of(backend);
  Implementation& device = self.place.device;
  std::unique_lock lock(device.mutex);  // outlives the step
  if (device.pretends) return GGML_STATUS_SUCCESS;
  auto step = std::make_unique<Step>(StepContext{
      device.inputs, self.cuda ? attention::cuda::Plan::is_possible : takes_any_head_dim,
      !device.options.gives_up});
  device.failure_text.clear();
  try {
    device.failure = prepare(self.place, graph, *step);
    switch (device.failure) {
      case Failure::none:
        break;
      case Failure::cache_exhausted:
        GGML_LOG_ERROR("%s: no room for more tokens in the cache: %zu bytes in use, bound %zu\n",
                       kName, device.pool->used(), device.pool->budget());
        return GGML_STATUS_ALLOC_FAILED;
      case Failure::tokens_missing:
        GGML_LOG_ERROR("%s: the graph reads tokens that the cache no longer has\n", kName);
        return GGML_STATUS_FAILED;
      case Failure::unsupported_operation:
      case Failure::gpu_failed:
        return GGML_STATUS_FAILED;
    }
    lock.unlock();
    const ggml_status status = run(self, *step, graph);
    lock.lock();
    if (status != GGML_STATUS_SUCCESS) return status;
    if (device.places.size() > 1) {
      device.open_steps.push_back(std::move(step));
    } else {
      step->finish();
    }
    return status;
  } catch (const attention::cuda::DriverError& error) {
    if (!lock.owns_lock()) lock.lock();
    GGML_LOG_ERROR("%s: %s\n", kName, error.what());
    device.failure = Failure::gpu_failed;
    device.failure_text = error.what();
    const bool lacks_memory = error.status() == attention::cuda::kOutOfMemory;
    return lacks_memory ? GGML_STATUS_ALLOC_FAILED : GGML_STATUS_FAILED;
  }
} catch (const std::bad_alloc&) {
  return GGML_STATUS_ALLOC_FAILED;
}

// What a GPU's backend does besides: the inner one's, on tensors in buffers of its own.

void backend_set_async(ggml_backend_t backend, ggml_tensor* tensor, const void* data, size_t offset,
                       size_t size) {
  ggml_tensor inner = inner_tensor(tensor);
  ggml_backend_tensor_set_async(of(backend).inner, &inner, data, offset, size);
}

void backend_get_async(ggml_backend_t backend, const ggml_tensor* tensor, void* data, size_t offset,
                       size_t size) {
  const ggml_tensor inner = inner_tensor(tensor);
  ggml_backend_tensor_get_async(of(backend).inner, &inner, data, offset, size);
}

void backend_synchronize(ggml_backend_t backend) { ggml_backend_synchronize(of(backend).inner); }

void backend_record(ggml_backend_t backend, ggml_backend_event_t event) {
  ggml_backend_event_record(event, of(backend).inner);
}

void backend_wait(ggml_backend_t backend, ggml_backend_event_t event) {
  ggml_backend_event_wait(of(backend).inner, event);
}

void backend_set_threads(ggml_backend_t backend, int threads) {
  Backend& self = of(backend);
  self.threads = threads;
  const auto set =
      self.place.inner_function<ggml_backend_set_n_threads_t>("ggml_backend_set_n_threads");
  if (set != nullptr) set(self.inner, threads);
}

ggml_backend_t device_init_backend(ggml_backend_dev_t device, const char* parameters) {
  Place& self = of(device);
  ggml_backend_t inner = ggml_backend_dev_init(self.inner, parameters);
  if (inner == nullptr) return nullptr;
  auto own = std::make_unique<Backend>(self, inner);
  try {
    if (self.launcher != nullptr) own->cuda.emplace(*self.launcher, inner);
  } catch (const attention::cuda::DriverError& error) {
    GGML_LOG_ERROR("%s: %s\n", kName, error.what());
    ggml_backend_free(inner);
    return nullptr;
  }
  const std::lock_guard lock(self.device.mutex);
  NewContext& made = self.device.new_contexts[std::this_thread::get_id()];
  if (made.without_cache.contains(&self)) made = {};  // the one before never had a cache here
  made.without_cache.emplace(&self, Asked{});
  ggml_backend_i interface {};
  interface.get_name = backend_name;
  interface.free = backend_free;
  interface.graph_compute = backend_compute;
  auto* backend = new ggml_backend{&kGuid, interface, device, own.release()};
  if (self.launcher != nullptr) {
    backend->iface.set_tensor_async = backend_set_async;
    backend->iface.get_tensor_async = backend_get_async;
    backend->iface.synchronize = backend_synchronize;
    backend->iface.event_record = backend_record;
    backend->iface.event_wait = backend_wait;
  }
  backend_set_threads(backend, GGML_DEFAULT_N_THREADS);  // until the program says how many
  return backend;
}

void backend_set_abort(ggml_backend_t backend, ggml_abort_callback callback, void* data) {
  of(backend).aborts = callback;
  of(backend).aborts_data = data;
  const auto set = of(backend).place.inner_function<ggml_backend_set_abort_callback_t>(
      "ggml_backend_set_abort_callback");
  if (set != nullptr) set(of(backend).inner, callback, data);
}

// ---- the device ----

const char* device_name(ggml_backend_dev_t device) { return of(device).name.c_str(); }

const char* device_description(ggml_backend_dev_t device) { return of(device).description.c_str(); }

void device_memory(ggml_backend_dev_t device, size_t* free, size_t* total) {
  ggml_backend_dev_memory(of(device).inner, free, total);
}

// llama.cpp puts weights and caches on GPUs; the device takes that place whatever it wraps.
enum ggml_backend_dev_type device_type(ggml_backend_dev_t) { return GGML_BACKEND_DEVICE_TYPE_GPU; }

void device_properties(ggml_backend_dev_t device, ggml_backend_dev_props* properties) {
  ggml_backend_dev_get_props(of(device).inner, properties);
  properties->name = device_name(device);
  properties->description = device_description(device);
  properties->type = device_type(device);
}

ggml_backend_buffer_type_t device_buffer_type(ggml_backend_dev_t device) {
  return &of(device).buffer_type;
}

ggml_backend_buffer_t device_buffer_from_host(ggml_backend_dev_t device, void* data, size_t size,
                                              size_t largest_tensor) {
  return ggml_backend_dev_buffer_from_host_ptr(of(device).inner, data, size, largest_tensor);
}

/// The host memory that the GPU reads fastest, also for what is computed on the CPU beside it.
ggml_backend_buffer_type_t device_host_type(ggml_backend_dev_t device) {
  return ggml_backend_dev_host_buffer_type(of(device).device.places.front()->inner);
}

bool device_offloads(ggml_backend_dev_t device, const ggml_tensor* op) {
  return ggml_backend_dev_offload_op(of(device).inner, op);
}

// An event is the inner device's, which also frees it.
ggml_backend_event_t device_new_event(ggml_backend_dev_t device) {
  return ggml_backend_event_new(of(device).inner);
}
void device_free_event(ggml_backend_dev_t, ggml_backend_event_t event) {
  ggml_backend_event_free(event);
}
void device_await_event(ggml_backend_dev_t, ggml_backend_event_t event) {
  ggml_backend_event_synchronize(event);
}

using ExtraTypes = ggml_backend_buffer_type_t*;  // ends with null

ExtraTypes device_extra_types(ggml_backend_dev_t device) {
  const Place& self = of(device);
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

/// llama.cpp asks for every operation before a context runs its first graph. What attention shows
/// of a layer lets a saved state be restored into a new context.
void note_geometry(const ggml_tensor* op) {
  if (op->op != GGML_OP_FLASH_ATTN_EXT) return;
  const auto keys = owned_cache(op->src[1]);
  if (const auto geometry = geometry_of(op); keys && geometry)
    (void)keys->buffer->configure(keys->layer, *geometry);
}

/// The cache tensor of an operation that we do ourselves, whatever the inner device can.
const ggml_tensor* cache_of(const ggml_tensor* op) {
  const ggml_tensor* touched = op->op == GGML_OP_SET_ROWS         ? op
                               : op->op == GGML_OP_FLASH_ATTN_EXT ? op->src[1]
                                                                  : nullptr;
  return touched != nullptr && owned_cache(touched) ? touched : nullptr;
}

bool device_supports_op(ggml_backend_dev_t device, const ggml_tensor* op) {
  const Place& self = of(device);
  // A loader that looks for a home for weights probes with an empty buffer. It tries a GPU's own
  // buffer type before the extra ones; declining here gives it the order it has for the CPU.
  const ggml_tensor* weights = op->src[0];
  const bool probes = (op->op == GGML_OP_MUL_MAT || op->op == GGML_OP_MUL_MAT_ID) &&
                      weights->buffer != nullptr && weights->buffer->size == 0 &&
                      weights->buffer->buft == &self.buffer_type;
  if (probes && !self.only_cache && prefers_extra_type(device, op)) return false;
  {
    const std::lock_guard lock(self.device.mutex);
    note_geometry(op);
    if (const ggml_tensor* cache = cache_of(op))
      return root(cache)->buffer->buft == &self.cache_type;
  }
  if (self.only_cache) return is_view(op);
  return ggml_backend_dev_supports_op(self.inner, op);
}

bool device_supports_type(ggml_backend_dev_t device, ggml_backend_buffer_type_t type) {
  return type == &of(device).buffer_type || type == &of(device).cache_type ||
         ggml_backend_dev_supports_buft(of(device).inner, type);
}

// ---- the registry that the device answers for; in the addon it is not entered into ggml's ----

const char* registry_name(ggml_backend_reg_t) { return kName; }
size_t registry_count(ggml_backend_reg_t) { return 1; }

ggml_backend_dev_t registry_device(ggml_backend_reg_t registry, size_t) {
  return &static_cast<Place*>(registry->context)->handle;
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

namespace {

Place& add_place(Implementation& device, ggml_backend_dev_t inner, std::string name,
                 bool only_cache) {
  device.places.push_back(std::unique_ptr<Place>(
      new Place{.device = device,
                .inner = inner,
                .name = std::move(name),
                .description = std::string("Sightline on ") + ggml_backend_dev_description(inner),
                .only_cache = only_cache}));
  Place& place = *device.places.back();
  make_buffer_types(place);

  place.registry.api_version = GGML_BACKEND_API_VERSION;
  place.registry.iface.get_name = registry_name;
  place.registry.iface.get_device_count = registry_count;
  place.registry.iface.get_device = registry_device;
  place.registry.iface.get_proc_address = registry_function;
  place.registry.context = &place;

  ggml_backend_device_i& interface = place.handle.iface;
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
  place.handle.reg = &place.registry;
  place.handle.context = &place;
  return place;
}

void put_on_gpu(Place& place, const attention::cuda::GpuChoice& gpu) {
  place.launcher = std::make_unique<attention::cuda::Launcher>(gpu);
  place.gpu_memory = std::make_unique<cache::GpuMemory>(*place.launcher);
  ggml_backend_device_i& interface = place.handle.iface;
  interface.buffer_from_host_ptr = nullptr;
  interface.get_host_buffer_type = device_host_type;
  interface.offload_op = device_offloads;
  interface.event_new = device_new_event;
  interface.event_free = device_free_event;
  interface.event_synchronize = device_await_event;
}

}  // namespace

Device::Device(ggml_backend_dev_t cpu) : implementation_(std::make_unique<Implementation>()) {
  add_place(*implementation_, cpu, kName, false);
}

Device::Device(ggml_backend_dev_t inner, const attention::cuda::GpuChoice& gpu,
               ggml_backend_dev_t cpu)
    : implementation_(std::make_unique<Implementation>()) {
  put_on_gpu(add_place(*implementation_, inner, kName, false), gpu);
  if (cpu == nullptr) return;
  Place& beside = add_place(*implementation_, cpu, std::string(kName) + "-cpu", true);
  beside.handle.iface.get_host_buffer_type = device_host_type;
}

Device::~Device() = default;

ggml_backend_dev_t Device::handle() const { return &implementation_->places.front()->handle; }

ggml_backend_dev_t Device::cpu_handle() const {
  const auto& places = implementation_->places;
  return places.size() > 1 ? &places.back()->handle : nullptr;
}

ggml_backend_reg_t Device::registry() const { return &implementation_->places.front()->registry; }

void Device::own_cache(const Options& options) {
  Implementation& self = *implementation_;
  self.options = options;
  self.pool.emplace(options.budget_bytes);
  self.no_cache.emplace(options.policy, *self.pool);
}

void Device::use_threadpool(ggml_threadpool_t threadpool) {
  implementation_->threadpool = threadpool;
}

void Device::profile_to(Profile& profile) { implementation_->profile = &profile; }

bool Device::computes(const ggml_tensor* node) const {
  const ggml_backend_buffer_t buffer = root(node)->buffer;
  if (buffer == nullptr) return false;
  const auto& places = implementation_->places;
  return std::any_of(places.begin(), places.end(), [&](const std::unique_ptr<Place>& place) {
    return ggml_backend_buft_get_device(ggml_backend_buffer_get_type(buffer)) == &place->handle;
  });
}

void Device::set_policy(const cache::Policy& policy) {
  Implementation& self = *implementation_;
  const std::lock_guard lock(self.mutex);
  self.options.policy = policy;
  for (CacheBuffer* cache : self.caches) cache->set_policy(policy);
}

void Device::end_graph(bool whole) {
  Implementation& self = *implementation_;
  const std::lock_guard lock(self.mutex);
  if (whole)
    for (const auto& step : self.open_steps) step->finish();
  self.open_steps.clear();
}

void Device::pretend(bool on) {
  const std::lock_guard lock(implementation_->mutex);
  implementation_->pretends = on;
}

cache::Sequence& Device::cache() {
  const std::lock_guard lock(implementation_->mutex);
  const auto& caches = implementation_->caches;
  return caches.empty() ? *implementation_->no_cache : caches.front()->cache();
}

std::unique_ptr<cache::Sequence> Device::make_cache(const cache::Policy& policy) const {
  return std::make_unique<cache::Sequence>(policy, *implementation_->pool);
}

std::shared_ptr<cache::Sequence> Device::exchange_cache(std::shared_ptr<cache::Sequence> next) {
  const std::lock_guard lock(implementation_->mutex);
  // What a context has in several places is one sequence.
  const cache::Sequence* ours = &implementation_->caches.front()->cache();
  std::shared_ptr<cache::Sequence> before;
  for (CacheBuffer* buffer : implementation_->caches)
    if (&buffer->cache() == ours) before = buffer->exchange(next);
  return before;
}

const cache::Pool& Device::pool() const { return *implementation_->pool; }
void Device::set_budget(size_t bytes) { implementation_->pool->set_budget(bytes); }

std::string_view Device::kernel_name() const {
  const bool on_gpu = implementation_->places.front()->launcher != nullptr;
  return on_gpu ? "cuda" : implementation_->kernel->name;
}
const std::string& Device::failure_text() const { return implementation_->failure_text; }

attention::cuda::GpuMemory Device::gpu_memory() const {
  const attention::cuda::Gpu& gpu = implementation_->places.front()->launcher->gpu();
  const attention::cuda::Gpu::Current current(gpu);
  return gpu.memory();
}

Failure Device::failure() const { return implementation_->failure; }

int Device::owned_layers() const {
  const std::lock_guard lock(implementation_->mutex);
  int layers = 0;
  for (const CacheBuffer* cache : implementation_->caches) layers += cache->layers();
  return layers;
}

size_t Device::owned_token_bytes() const {
  const std::lock_guard lock(implementation_->mutex);
  size_t bytes = 0;
  for (const CacheBuffer* cache : implementation_->caches) bytes += cache->token_bytes();
  return bytes;
}

size_t Device::passed_bytes() const {
  const std::lock_guard lock(implementation_->mutex);
  size_t bytes = 0;
  for (const auto& [name, size] : implementation_->passed) bytes += size;
  return bytes;
}

}  // namespace sightline::device
