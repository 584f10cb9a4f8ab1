#pragma once
// What CUDA C++ has and C++ has not, for sources that the emulator runs. Included instead of
// nvcc's own by attention/cuda/device.h.

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "attention/cuda/emulator/machine.h"

#define __device__
#define __host__
#define __forceinline__ inline
#define __restrict__ __restrict

namespace sightline::attention::cuda {

using emulator::Machine;
using emulator::Site;

inline constexpr uint32_t kAllLanes = 0xffffffffu;

inline emulator::Dim thread_index() { return Machine::current().place().thread; }
inline emulator::Dim block_index() { return Machine::current().place().block; }
inline emulator::Dim block_size() { return Machine::current().place().block_dim; }
inline emulator::Dim grid_size() { return Machine::current().place().grid_dim; }
inline unsigned lane_index() { return Machine::current().place().lane; }

inline void sync_block(const Site& site = Site::current()) { Machine::current().barrier(site); }

namespace emulation {

/// What `lane` of a collective over all lanes offered.
template <typename T>
T offered(const std::byte* offers, unsigned lane) {
  T value;
  std::memcpy(&value, offers + lane * emulator::kExchangeBytes, sizeof value);
  return value;
}

template <typename T>
const std::byte* exchange(const T& value, const Site& site, uint32_t mask = kAllLanes) {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= emulator::kExchangeBytes);
  return Machine::current().exchange(mask, std::as_bytes(std::span(&value, 1)), site);
}

}  // namespace emulation

inline void sync_warp(const Site& site = Site::current()) { emulation::exchange(0, site); }

/// The value of the lane whose index differs in these bits.
template <typename T>
T shuffle_xor(T value, unsigned bits, const Site& site = Site::current()) {
  return emulation::offered<T>(emulation::exchange(value, site), lane_index() ^ bits);
}

/// The value of that lane.
template <typename T>
T shuffle(T value, unsigned lane, const Site& site = Site::current()) {
  return emulation::offered<T>(emulation::exchange(value, site), lane % emulator::kWarpLanes);
}

}  // namespace sightline::attention::cuda
