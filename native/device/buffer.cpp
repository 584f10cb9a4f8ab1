// The device's buffers: the inner device's memory, but addresses alone for owned cache tensors.

#include <algorithm>
#include <cstring>

#include "attention/format/format.h"
#include "cache/pages.h"
#include "device/implementation.h"
#include "ggml-impl.h"

namespace sightline::device {
namespace {

using Implementation = Device::Implementation;

struct GivePages {
  size_t bytes;
  void operator()(std::byte* pages) const { cache::give_pages(pages, bytes); }
};
using Addresses = std::unique_ptr<std::byte, GivePages>;

struct Buffer {
  Place& place;
  ggml_backend_buffer_t inner;         // null: all of its tensors are caches of ours
  Addresses addresses;                 // what ggml has for those then
  bool is_here;                        // whether its data can be read where it is
  std::unique_ptr<CacheBuffer> cache;  // null: none of its tensors is a cache of ours
};

Buffer& of(ggml_backend_buffer_t buffer) { return *static_cast<Buffer*>(buffer->context); }

CacheBuffer* cache_of(ggml_backend_buffer_t buffer, const ggml_tensor* tensor) {
  CacheBuffer* cache = of(buffer).cache.get();
  return cache != nullptr && cache->holds(tensor) ? cache : nullptr;
}

/// The place's part of the context that this thread makes; null: it makes none, or has that.
Asked* asked_of(Place& place) {
  const auto made = place.device.new_contexts.find(std::this_thread::get_id());
  if (made == place.device.new_contexts.end()) return nullptr;
  const auto asked = made->second.without_cache.find(&place);
  return asked != made->second.without_cache.end() ? &asked->second : nullptr;
}

/// Whether a tensor about to get memory of `type` is in a cache of ours: the first that a context
/// makes. llama.cpp initialises a context's backend and then allocates its caches on one thread,
/// the cache of the whole context before that of a sliding window.
bool takes(Place& place, ggml_backend_buffer_type_t type, const ggml_tensor* tensor) {
  const Implementation& device = place.device;
  if (device.options.capacity == 0 || !plain_cache(tensor)) return false;
  if (device.options.capacity != kAnyCapacity && tensor->ne[1] != device.options.capacity)
    return false;
  if (type == &place.cache_type) return true;
  return asked_of(place) != nullptr;
}

bool is_cache(const ggml_tensor* tensor) {
  return tensor->view_src == nullptr && std::strncmp(tensor->name, "cache_", 6) == 0;
}

/// The cache of a buffer that `takes` was true for: what a context has in several places is one
/// sequence.
std::unique_ptr<CacheBuffer> make_cache(Place& place) {
  Implementation& device = place.device;
  std::shared_ptr<cache::Sequence> sequence;
  const auto made = device.new_contexts.find(std::this_thread::get_id());
  if (made != device.new_contexts.end()) sequence = made->second.sequence.lock();
  if (sequence == nullptr)
    sequence = std::make_shared<cache::Sequence>(device.options.policy, *device.pool);
  if (made != device.new_contexts.end()) {
    made->second.sequence = sequence;
    made->second.without_cache.erase(&place);
    if (made->second.without_cache.empty()) device.new_contexts.erase(made);
  }
  return std::make_unique<CacheBuffer>(std::move(sequence), place.memory());
}

double mebibytes(size_t bytes) { return static_cast<double>(bytes) / (1 << 20); }

void log_freed(CacheBuffer& buffer) {
  if (buffer.holder() != CacheBuffer::Holder::ours) {
    GGML_LOG_INFO("%s: cache of %d layers freed; it was given up and had %.2f MiB of FP16\n", kName,
                  buffer.layers(), mebibytes(buffer.given_up_bytes()));
    return;
  }
  const cache::Account account = buffer.cache().account();
  std::string tiers = "sink " + std::to_string(account.sink.tokens);
  for (const cache::Account::Coded& level : account.coded)
    tiers += ", " + attention::name_of(level.tier) + " " + std::to_string(level.tokens);
  tiers += ", window " + std::to_string(account.window.tokens);
  GGML_LOG_INFO(
      "%s: cache of %d layers freed; it held %lld tokens (%s) in %.2f MiB, as FP16 %.2f MiB\n",
      kName, buffer.layers(), static_cast<long long>(account.tokens), tiers.c_str(),
      mebibytes(account.bytes()), mebibytes(account.fp16_bytes));
}

// ---- buffers ----

void buffer_free(ggml_backend_buffer_t buffer) {
  Buffer& self = of(buffer);
  if (self.cache != nullptr) {
    const std::lock_guard lock(self.place.device.mutex);
    log_freed(*self.cache);
    std::erase(self.place.device.caches, self.cache.get());
    self.cache.reset();
  }
  if (self.inner != nullptr) ggml_backend_buffer_free(self.inner);
  delete &self;
}

void* buffer_base(ggml_backend_buffer_t buffer) {
  const Buffer& self = of(buffer);
  return self.inner != nullptr ? ggml_backend_buffer_get_base(self.inner) : self.addresses.get();
}

ggml_status buffer_init_tensor(ggml_backend_buffer_t buffer, ggml_tensor* tensor) {
  Buffer& self = of(buffer);
  Implementation& device = self.place.device;
  if (is_cache(tensor)) {
    const std::lock_guard lock(device.mutex);
    if (takes(self.place, buffer->buft, tensor)) {
      if (self.cache == nullptr) {
        self.cache = make_cache(self.place);
        device.caches.push_back(self.cache.get());
        buffer->buft = &self.place.cache_type;
      }
      self.cache->add(tensor);
      return GGML_STATUS_SUCCESS;
    }
    if (Asked* asked = asked_of(self.place)) *asked = {};
    device.passed[tensor->name] = ggml_nbytes(tensor);
  }
  if (self.inner == nullptr)
    return tensor->view_src != nullptr ? GGML_STATUS_SUCCESS : GGML_STATUS_FAILED;
  self.inner->usage = buffer->usage;  // what it is for decides about padding
  return ggml_backend_buffer_init_tensor(self.inner, tensor);
}

/// Takes note of what graphs are prepared from, while it passes.
void note_input(Buffer& self, ggml_backend_buffer_t buffer, const ggml_tensor* tensor,
                const void* data, size_t offset, size_t size) {
  if (buffer->usage == GGML_BACKEND_BUFFER_USAGE_WEIGHTS || tensor->op != GGML_OP_NONE ||
      tensor->view_src != nullptr || offset != 0 || size != ggml_nbytes(tensor))
    return;
  const std::lock_guard lock(self.place.device.mutex);
  self.place.device.inputs.note(tensor, data);
}

void buffer_set(ggml_backend_buffer_t buffer, ggml_tensor* tensor, const void* data, size_t offset,
                size_t size) {
  Buffer& self = of(buffer);
  if (CacheBuffer* cache = cache_of(buffer, tensor)) {
    const std::lock_guard lock(self.place.device.mutex);
    const auto before = cache->holder();
    cache->set(tensor, data, offset, size, self.place.inner_type());
    if (cache->holder() != before) log_given_up(*cache, "its contents were replaced");
  } else {
    if (!self.is_here) note_input(self, buffer, tensor, data, offset, size);
    self.inner->iface.set_tensor(self.inner, tensor, data, offset, size);
  }
}

void buffer_memset(ggml_backend_buffer_t buffer, ggml_tensor* tensor, uint8_t value, size_t offset,
                   size_t size) {
  Buffer& self = of(buffer);
  if (cache_of(buffer, tensor) != nullptr) {
    const std::vector<uint8_t> bytes(size, value);
    buffer_set(buffer, tensor, bytes.data(), offset, size);
  } else {
    self.inner->iface.memset_tensor(self.inner, tensor, value, offset, size);
  }
}

void buffer_get(ggml_backend_buffer_t buffer, const ggml_tensor* tensor, void* data, size_t offset,
                size_t size) {
  Buffer& self = of(buffer);
  if (CacheBuffer* cache = cache_of(buffer, tensor)) {
    const std::lock_guard lock(self.place.device.mutex);
    if (cache->tell_dropped())
      GGML_LOG_ERROR(
          "%s: tokens that the policy dropped are read as zeros: a state saved now is "
          "not whole\n",
          kName);
    cache->get(tensor, data, offset, size);
  } else {
    self.inner->iface.get_tensor(self.inner, tensor, data, offset, size);
  }
}

void buffer_clear(ggml_backend_buffer_t buffer, uint8_t value) {
  Buffer& self = of(buffer);
  if (self.cache != nullptr) {
    const std::lock_guard lock(self.place.device.mutex);
    self.cache->clear();
  }
  if (self.inner != nullptr) self.inner->iface.clear(self.inner, value);
}

constexpr ggml_backend_buffer_i kBuffer = [] {
  ggml_backend_buffer_i interface {};
  interface.free_buffer = buffer_free;
  interface.get_base = buffer_base;
  interface.init_tensor = buffer_init_tensor;
  interface.memset_tensor = buffer_memset;
  interface.set_tensor = buffer_set;
  interface.get_tensor = buffer_get;
  interface.clear = buffer_clear;
  return interface;
}();

// ---- buffer types ----

Place& of(ggml_backend_buffer_type_t type) { return *static_cast<Place*>(type->context); }

const char* type_name(ggml_backend_buffer_type_t type) { return of(type).name.c_str(); }

/// A buffer for caches of ours. Their tensors have the sizes that ggml insists on, and no memory.
ggml_backend_buffer_t reserve(ggml_backend_buffer_type_t type, size_t size) {
  const size_t page = cache::page_size();
  const size_t bytes = (size + page - 1) / page * page;
  Addresses addresses(cache::reserve_addresses(bytes), {bytes});
  if (addresses == nullptr) return nullptr;
  auto* buffer = new Buffer{of(type), nullptr, std::move(addresses), false, nullptr};
  return ggml_backend_buffer_init(type, kBuffer, buffer, size);
}

ggml_backend_buffer_t type_allocate(ggml_backend_buffer_type_t type, size_t size) {
  {
    const std::lock_guard lock(of(type).device.mutex);
    const Asked* asked = asked_of(of(type));
    if (asked != nullptr && asked->ours && !asked->others) return reserve(type, size);
  }
  ggml_backend_buffer_t inner = ggml_backend_buft_alloc_buffer(of(type).inner_type(), size);
  if (inner == nullptr) return nullptr;
  const bool is_here = ggml_backend_buffer_is_host(inner);
  return ggml_backend_buffer_init(type, kBuffer,
                                  new Buffer{of(type), inner, nullptr, is_here, nullptr},
                                  ggml_backend_buffer_get_size(inner));
}

size_t type_alignment(ggml_backend_buffer_type_t type) {
  return ggml_backend_buft_get_alignment(of(type).inner_type());
}

size_t type_allocated_size(ggml_backend_buffer_type_t type, const ggml_tensor* tensor) {
  Place& place = of(type);
  if (is_cache(tensor)) {
    const std::lock_guard lock(place.device.mutex);
    const bool ours = takes(place, type, tensor);
    if (Asked* asked = asked_of(place)) (ours ? asked->ours : asked->others) = true;
    if (ours) return ggml_nbytes(tensor);
  }
  return ggml_backend_buft_get_alloc_size(place.inner_type(), tensor);
}

bool type_is_host(ggml_backend_buffer_type_t type) {
  return type != &of(type).cache_type && ggml_backend_buft_is_host(of(type).inner_type());
}

}  // namespace

void log_given_up(const CacheBuffer& buffer, const char* why) {
  if (buffer.holder() == CacheBuffer::Holder::theirs) {
    GGML_LOG_WARN("%s: cache of %d layers is FP16 from here on, %.2f MiB: %s\n", kName,
                  buffer.layers(), mebibytes(buffer.given_up_bytes()), why);
  } else {
    GGML_LOG_ERROR("%s: cache of %d layers is lost: %s, and there is no memory for it as FP16\n",
                   kName, buffer.layers(), why);
  }
}

void make_buffer_types(Place& place) {
  for (ggml_backend_buffer_type* type : {&place.buffer_type, &place.cache_type}) {
    type->iface.get_name = type_name;
    type->iface.alloc_buffer = type_allocate;
    type->iface.get_alignment = type_alignment;
    type->iface.get_alloc_size = type_allocated_size;
    type->iface.is_host = type_is_host;
    type->device = &place.handle;
    type->context = &place;
  }
}

ggml_tensor inner_tensor(const ggml_tensor* tensor) {
  ggml_tensor copy = *tensor;
  copy.buffer = root(tensor)->buffer;
  copy.view_src = nullptr;
  if (copy.buffer->iface.free_buffer == buffer_free) copy.buffer = of(copy.buffer).inner;
  return copy;
}

CacheBuffer* cache_buffer(const ggml_tensor* tensor) {
  const ggml_tensor* whole = root(tensor);
  const bool ours = whole->buffer != nullptr && whole->buffer->iface.free_buffer == buffer_free;
  return ours ? cache_of(whole->buffer, whole) : nullptr;
}

}  // namespace sightline::device
