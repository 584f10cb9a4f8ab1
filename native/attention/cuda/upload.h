#pragma once
// Plain data on its way to a GPU, all of a step's in one piece.

#include <cstddef>
#include <cstring>
#include <optional>
#include <span>
#include <type_traits>

#include "attention/cuda/gpu.h"

namespace sightline::attention::cuda {

class Upload {
 public:
  explicit Upload(const Gpu& gpu) : gpu_(gpu), sent_(gpu) {}

  /// Bytes of room that a list takes.
  template <typename T>
  static constexpr size_t room_for(size_t count) {
    return (count * sizeof(T) + kAlignment - 1) / kAlignment * kAlignment;
  }

  /// Starts anew, with that much room. Waits for what was sent before to have arrived. Throws
  /// DriverError.
  void start(size_t bytes);

  /// Takes a list along and returns where it will be.
  template <typename T>
  const T* put(std::span<const T> list) {
    static_assert(std::is_trivially_copyable_v<T> && alignof(T) <= kAlignment);
    const size_t at = used_;
    used_ += room_for<T>(list.size());
    if (!list.empty()) std::memcpy(pinned_->data() + at, list.data(), list.size_bytes());
    return reinterpret_cast<const T*>(memory_->data() + at);
  }

  /// Work put into the stream from here on finds everything in its place.
  void send(Stream& stream);

 private:
  static constexpr size_t kAlignment = 64;

  const Gpu& gpu_;
  Event sent_;
  std::optional<PinnedMemory> pinned_;
  std::optional<Memory> memory_;
  size_t used_ = 0;
};

}  // namespace sightline::attention::cuda
