#include "device/cache_buffer.h"

#include <algorithm>
#include <cstring>

#include "attention/half.h"
#include "attention/reference/reference.h"
#include "ggml-backend-impl.h"

namespace sightline::device {
namespace {

constexpr int32_t kRowsAtOnce = 256;  // copied to llama.cpp's memory

size_t padded(size_t bytes, size_t alignment) {
  return (bytes + alignment - 1) / alignment * alignment;
}

/// The tensor or view with the address it has by now: views keep the one they were made with.
ggml_tensor located(const ggml_tensor* tensor) {
  ggml_tensor copy = *tensor;
  copy.data = static_cast<char*>(root(tensor)->data) +
              (tensor->view_src != nullptr ? tensor->view_offs : 0);
  return copy;
}

/// Where the bytes from `offset` on of a tensor or view lie in the whole tensor.
size_t whole_offset(const ggml_tensor* tensor, size_t offset) {
  return offset + (tensor->view_src != nullptr ? tensor->view_offs : 0);
}

/// Where a copy holds the token of a position; nothing where that was dropped.
std::optional<int> index_of(const attention::Block& block, const attention::Copy& copy, int head,
                            int32_t position) {
  for (int i = 0; i < copy.tokens; i++)
    if (attention::position_of(block, copy, head, i) == position) return i;
  return std::nullopt;
}

}  // namespace

void CacheBuffer::add(ggml_tensor* tensor) {
  tensors_.push_back(tensor);
  stand_ins_.push_back(tensor->data);
}

bool CacheBuffer::holds(const ggml_tensor* tensor) const {
  return std::find(tensors_.begin(), tensors_.end(), root(tensor)) != tensors_.end();
}

int CacheBuffer::layers() const {
  return static_cast<int>(
      std::count_if(tensors_.begin(), tensors_.end(),
                    [](const ggml_tensor* tensor) { return plain_cache(tensor)->keys; }));
}

size_t CacheBuffer::token_bytes() const {
  size_t bytes = 0;
  for (const ggml_tensor* tensor : tensors_) bytes += tensor->nb[1];
  return bytes;
}

bool CacheBuffer::configure(int32_t layer, cache::Geometry geometry) {
  if (!cache_->configure(layer, geometry, memory_)) return false;
  geometry_[layer] = geometry;
  return true;
}

std::optional<cache::Geometry> CacheBuffer::geometry(int32_t layer) const {
  const auto known = geometry_.find(layer);
  return known != geometry_.end() ? std::optional(known->second) : std::nullopt;
}

int32_t CacheBuffer::length(int32_t layer) const {
  if (!geometry_.contains(layer) || cache_->blocks(layer).empty()) return 0;
  return cache_->blocks(layer).back().end();
}

/// Zeros where the cache does not hold the token.
void CacheBuffer::read_row(CacheTensor tensor, int32_t row, std::vector<uint16_t>& halves) const {
  std::fill(halves.begin(), halves.end(), uint16_t{0});
  const auto geometry = geometry_.find(tensor.layer);
  if (geometry == geometry_.end()) return;
  const auto [kv_heads, head_dim] = geometry->second;
  const auto element = tensor.keys ? attention::key_at : attention::value_at;
  for (const attention::Block& block : cache_->blocks(tensor.layer)) {
    if (row < block.first || row >= block.end()) continue;
    std::vector<std::byte> room;
    const attention::Copy copy = memory_.local(geometry->second, block.copies[0], room);
    for (int head = 0; head < kv_heads; head++) {
      const auto token = index_of(block, copy, head, row);
      uint16_t* elements = halves.data() + head * head_dim;
      for (int channel = 0; token && channel < head_dim; channel++)
        elements[channel] = attention::float_to_half(
            static_cast<float>(element(copy, head, head_dim, *token, channel)));
    }
  }
}

/// Whether every KV head still holds a row.
bool CacheBuffer::has_row(int32_t layer, int32_t row) const {
  for (const attention::Block& block : cache_->blocks(layer)) {
    if (row < block.first || row >= block.end()) continue;
    std::vector<std::byte> room;
    const cache::Geometry geometry = geometry_.at(layer);
    const attention::Copy copy = memory_.local(geometry, block.copies[0], room);
    for (int head = 0; head < geometry.kv_heads; head++)
      if (!index_of(block, copy, head, row)) return false;
    return true;
  }
  return false;
}

/// [rows.count][width]
std::vector<uint16_t> CacheBuffer::read_rows(CacheTensor tensor, size_t width, Rows rows) const {
  std::vector<uint16_t> all;
  std::vector<uint16_t> row(width);
  all.reserve(width * static_cast<size_t>(rows.count));
  for (int32_t i = 0; i < rows.count; i++) {
    read_row(tensor, rows.first + i, row);
    all.insert(all.end(), row.begin(), row.end());
  }
  return all;
}

/// A step of its own: keys begin it, the values of the same rows end it.
cache::Status CacheBuffer::write_rows(CacheTensor tensor, Rows rows, const uint16_t* halves) {
  const auto [kv_heads, head_dim] = geometry_.at(tensor.layer);
  if (tensor.keys) {
    const cache::Status begun = cache_->begin(tensor.layer, rows.first, rows.count);
    if (begun != cache::Status::ok) return begun;
  }
  const size_t width = static_cast<size_t>(kv_heads) * static_cast<size_t>(head_dim);
  std::vector<float> floats(width * static_cast<size_t>(rows.count));
  std::transform(halves, halves + floats.size(), floats.begin(), attention::half_to_float);
  for (int32_t head = 0; head < kv_heads; head++) {
    const size_t first = static_cast<size_t>(head) * static_cast<size_t>(head_dim);
    const attention::Rows part{floats.data() + first, width, rows.count};
    if (tensor.keys) {
      cache_->store_keys(tensor.layer, head, part);
    } else {
      cache_->store_values(tensor.layer, head, part);
    }
  }
  if (!tensor.keys) cache_->commit(tensor.layer);
  return cache::Status::ok;
}

cache::Status CacheBuffer::rewind(int32_t length) {
  for (const auto& [layer, geometry] : geometry_)
    dropped_to_ = std::max(dropped_to_, this->length(layer));
  if (cache_->truncate(length, cache::Rollback::reopen) == length) return cache::Status::ok;
  clear();
  holder_ = Holder::lost;
  return cache::Status::exhausted;
}

void CacheBuffer::note_write(int64_t row) { missing_.erase(row); }

bool CacheBuffer::is_missing(int64_t row) const { return missing_.contains(row); }

void CacheBuffer::get(const ggml_tensor* tensor, void* data, size_t offset, size_t size) const {
  if (holder_ == Holder::theirs) {
    const ggml_tensor source = located(tensor);
    given_->iface.get_tensor(given_.get(), &source, data, offset, size);
    return;
  }
  const ggml_tensor* whole = root(tensor);
  const CacheTensor cached = *plain_cache(whole);
  const size_t row_bytes = whole->nb[1];
  std::vector<uint16_t> halves(static_cast<size_t>(whole->ne[0]));
  auto* out = static_cast<std::byte*>(data);
  size_t at = whole_offset(tensor, offset);
  while (size > 0) {
    read_row(cached, static_cast<int32_t>(at / row_bytes), halves);
    const size_t skipped = at % row_bytes;
    const size_t copied = std::min(size, row_bytes - skipped);
    std::memcpy(out, reinterpret_cast<const std::byte*>(halves.data()) + skipped, copied);
    out += copied;
    at += copied;
    size -= copied;
  }
}

bool CacheBuffer::tell_dropped() {
  if (told_dropped_ || cache_->account().dropped_tokens == 0) return false;
  told_dropped_ = true;
  return true;
}

/// What restoring a saved state does: whole rows that follow what there is, keys, then values. Only
/// where the cache lies in the system's memory.
bool CacheBuffer::append(const ggml_tensor* tensor, const void* data, size_t offset, size_t size) {
  if (&memory_ != &cache::system_memory()) return false;
  const ggml_tensor* whole = root(tensor);
  const CacheTensor cached = *plain_cache(whole);
  const size_t at = whole_offset(tensor, offset);
  const size_t row_bytes = whole->nb[1];
  const auto geometry = geometry_.find(cached.layer);
  if (geometry == geometry_.end() || at % row_bytes != 0 || size % row_bytes != 0 ||
      whole->ne[0] != geometry->second.kv_heads * geometry->second.head_dim)
    return false;
  const Rows rows{static_cast<int32_t>(at / row_bytes), static_cast<int32_t>(size / row_bytes)};
  const auto keys = set_keys_.find(cached.layer);
  const bool follows = cached.keys ? keys == set_keys_.end() && rows.first == length(cached.layer)
                                   : keys != set_keys_.end() && keys->second == rows;
  if (!follows || write_rows(cached, rows, static_cast<const uint16_t*>(data)) != cache::Status::ok)
    return false;
  if (cached.keys) {
    set_keys_[cached.layer] = rows;
  } else {
    set_keys_.erase(keys);
  }
  return true;
}

void CacheBuffer::set(const ggml_tensor* tensor, const void* data, size_t offset, size_t size,
                      ggml_backend_buffer_type_t type) {
  if (holder_ == Holder::ours && append(tensor, data, offset, size)) return;
  if (holder_ == Holder::ours && !give_up(type)) return;
  if (holder_ == Holder::lost) return;
  ggml_tensor target = located(tensor);
  given_->iface.set_tensor(given_.get(), &target, data, offset, size);
  const size_t at = whole_offset(tensor, offset);
  const size_t row_bytes = root(tensor)->nb[1];
  for (size_t row = (at + row_bytes - 1) / row_bytes; row < (at + size) / row_bytes; row++)
    missing_.erase(static_cast<int64_t>(row));
}

void CacheBuffer::forget_past() {
  set_keys_.clear();
  missing_.clear();
  dropped_to_ = 0;
  told_dropped_ = false;
}

std::shared_ptr<cache::Sequence> CacheBuffer::exchange(std::shared_ptr<cache::Sequence> next) {
  forget_past();
  for (const auto& [layer, geometry] : geometry_)
    static_cast<void>(next->configure(layer, geometry, memory_));  // is as it was for ours
  return std::exchange(cache_, std::move(next));
}

void CacheBuffer::clear() {
  forget_past();
  cache_->truncate(0);
  for (size_t i = 0; i < tensors_.size(); i++) tensors_[i]->data = stand_ins_[i];
  given_.reset();
  holder_ = Holder::ours;
}

void CacheBuffer::set_policy(const cache::Policy& policy) {
  clear();
  cache_->set_policy(policy);
}

size_t CacheBuffer::given_up_bytes() const {
  return given_ != nullptr ? ggml_backend_buffer_get_size(given_.get()) : 0;
}

bool CacheBuffer::give_up(ggml_backend_buffer_type_t type) {
  const size_t alignment = ggml_backend_buft_get_alignment(type);
  size_t bytes = 0;
  for (const ggml_tensor* tensor : tensors_) bytes += padded(ggml_nbytes(tensor), alignment);
  given_.reset(ggml_backend_buft_alloc_buffer(type, bytes));
  if (given_ == nullptr) {
    clear();
    holder_ = Holder::lost;
    return false;
  }
  given_->iface.clear(given_.get(), 0);
  auto* at = static_cast<char*>(ggml_backend_buffer_get_base(given_.get()));
  int32_t longest = 0;
  for (ggml_tensor* tensor : tensors_) {
    tensor->data = at;
    at += padded(ggml_nbytes(tensor), alignment);
    const CacheTensor cached = *plain_cache(tensor);
    const auto half_set = set_keys_.find(cached.layer);
    const int32_t end =
        !cached.keys && half_set != set_keys_.end() ? half_set->second.first : length(cached.layer);
    longest = std::max(longest, end);
    for (int32_t first = 0; first < end; first += kRowsAtOnce) {
      const Rows rows{first, std::min(kRowsAtOnce, end - first)};
      const auto halves = read_rows(cached, static_cast<size_t>(tensor->ne[0]), rows);
      given_->iface.set_tensor(given_.get(), tensor, halves.data(),
                               static_cast<size_t>(first) * tensor->nb[1], halves.size() * 2);
    }
  }
  for (const auto& [layer, geometry] : geometry_)
    for (int32_t row = 0; row < length(layer); row++)
      if (!has_row(layer, row)) missing_.insert(row);
  for (int32_t row = longest; row < dropped_to_; row++) missing_.insert(row);
  set_keys_.clear();
  cache_->truncate(0);
  holder_ = Holder::theirs;
  return true;
}

std::optional<OwnedTensor> owned_cache(const ggml_tensor* tensor) {
  CacheBuffer* buffer = cache_buffer(tensor);
  if (buffer == nullptr || buffer->holder() != CacheBuffer::Holder::ours) return std::nullopt;
  const auto cached = parse_cache_name(root(tensor)->name);
  return OwnedTensor{buffer, cached->layer, cached->keys};
}

}  // namespace sightline::device
