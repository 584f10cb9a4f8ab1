#pragma once
// Memory as the driver gives it out: aligned to 256 bytes, zeros at first.

#include <array>
#include <cstddef>
#include <span>
#include <vector>

namespace sightline::attention::test {

template <typename T>
class DeviceMemory {
 public:
  explicit DeviceMemory(size_t count) : count_(count), lines_(count * sizeof(T) / 256 + 1) {}
  T* data() { return reinterpret_cast<T*>(lines_.data()); }
  std::span<T> all() { return {data(), count_}; }

 private:
  struct alignas(256) Line {
    std::array<std::byte, 256> bytes{};
  };
  size_t count_;
  std::vector<Line> lines_;
};

}  // namespace sightline::attention::test
