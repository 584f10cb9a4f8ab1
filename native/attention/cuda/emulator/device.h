#pragma once
// What kernels need besides C++, on the emulator: the counterpart of nvcc's (instructions.h).

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "attention/cuda/emulator/machine.h"
#include "attention/half.h"

#define __device__
#define SIGHTLINE_KERNEL(name, threads, blocks, Arguments) \
  extern "C" void name(const Arguments& arguments)
#define SIGHTLINE_ROLLED
#define SIGHTLINE_UNROLLED

struct float2 {
  float x, y;
};

namespace sightline::attention::cuda {

using emulator::Machine;
using emulator::Site;
using std::min;

inline constexpr uint32_t kAllLanes = 0xffffffffu;

inline emulator::Dim thread_index() { return Machine::current().place().thread; }
inline emulator::Dim block_index() { return Machine::current().place().block; }
inline emulator::Dim grid_size() { return Machine::current().place().grid_dim; }
inline unsigned lane_index() { return Machine::current().place().lane; }

inline void sync_block(const Site& site = Site::current()) { Machine::current().barrier(site); }

namespace emulation {

/// What `lane` of a collective over all lanes offered.
template <typename T>
T offered(const std::byte* offers, unsigned lane) {
  T value;
  Machine::copy_offer(offers, lane, std::as_writable_bytes(std::span(&value, 1)));
  return value;
}

template <typename T>
const std::byte* exchange(const T& value, const Site& site) {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= emulator::kExchangeBytes);
  return Machine::current().exchange(kAllLanes, std::as_bytes(std::span(&value, 1)), site);
}

/// The element of a pair of halves.
inline float element(uint32_t pair, unsigned index) {
  return half_to_float(static_cast<uint16_t>(pair >> 16 * index));
}

}  // namespace emulation

inline void sync_warp(const Site& site = Site::current()) {
  Machine::current().exchange(kAllLanes, {}, site, Machine::Memory::ordered);
}

inline bool any_lane(bool value, const Site& site = Site::current()) {
  const std::byte* offers = emulation::exchange(value, site);
  for (unsigned lane = 0; lane < emulator::kWarpLanes; lane++)
    if (emulation::offered<bool>(offers, lane)) return true;
  return false;
}

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

inline std::byte* dynamic_shared() {
  return static_cast<std::byte*>(Machine::current().dynamic_shared());
}

template <typename T>
T read(const T* from, const Site& site = Site::current()) {
  Machine::current().count_access(emulator::Access::read, from, sizeof(T), site);
  return *from;
}
template <typename T>
T read_fresh(const T* from, const Site& site = Site::current()) {
  return read(from, site);
}
template <typename T>
void write(T* to, T value, const Site& site = Site::current()) {
  Machine::current().count_access(emulator::Access::write, to, sizeof(T), site);
  *to = value;
}

inline int arrive(int* counter) {
  return std::atomic_ref(*counter).fetch_add(1, std::memory_order_acq_rel);
}

inline void copy_async(void* to, const void* from, const Site& site = Site::current()) {
  Machine::current().copy_async(to, from, 16, site);
}
inline void commit_copies() { Machine::current().commit_copies(); }
template <int kGroupsLeft>
void wait_for_copies() {
  Machine::current().wait_for_copies(kGroupsLeft);
}

/// sum[16][8] += a[16][16] * b[16][8]. A product's sum is exact but for one rounding; a GPU's
/// differs by a few units in the last place of its largest term.
inline void multiply_add(float (&sum)[4], const uint32_t (&a)[4], const uint32_t (&b)[2],
                         const Site& site = Site::current()) {
  const std::byte* offers = emulation::exchange(emulator::operands(a, b), site);
  const unsigned lane = lane_index();
  if (lane == 0) Machine::current().count_matrix_product();
  const std::array<double, 4> product = Machine::product(offers, lane);
  for (unsigned i = 0; i < 4; i++) sum[i] = static_cast<float>(sum[i] + product[i]);
}

/// Transposes an 8 x 8 matrix of halves: lane 4 * i + j holds elements 2 * j and 2 * j + 1 of row
/// i.
inline uint32_t transpose(uint32_t pair, const Site& site = Site::current()) {
  const std::byte* offers = emulation::exchange(pair, site);
  const unsigned row = lane_index() / 4, column = lane_index() % 4 * 2;
  const auto element = [&](unsigned from_row) {
    return emulation::offered<uint32_t>(offers, 4 * from_row + row / 2) >> row % 2 * 16 & 0xffffu;
  };
  return element(column) | element(column + 1) << 16;
}

inline uint32_t pack_halves(float low, float high) {
  return float_to_half(low) | static_cast<uint32_t>(float_to_half(high)) << 16;
}
// Rounding to floats first changes nothing: they have more than twice the bits of halves.
inline uint32_t subtract_halves(uint32_t a, uint32_t b) {
  const auto difference = [&](unsigned i) {
    return emulation::element(a, i) - emulation::element(b, i);
  };
  return pack_halves(difference(0), difference(1));
}
inline uint32_t multiply_halves(uint32_t a, uint32_t b) {
  const auto product = [&](unsigned i) {
    return emulation::element(a, i) * emulation::element(b, i);
  };
  return pack_halves(product(0), product(1));
}
inline float float_of(uint16_t half) { return half_to_float(half); }
/// The bytes of the two words that the selector's digits name.
inline uint32_t select_bytes(uint32_t low, uint32_t high, uint32_t selector) {
  const uint64_t bytes = static_cast<uint64_t>(high) << 32 | low;
  uint32_t selected = 0;
  for (unsigned i = 0; i < 4; i++)
    selected |= static_cast<uint32_t>(bytes >> (selector >> 4 * i & 7u) * 8 & 0xffu) << 8 * i;
  return selected;
}
inline float exp2_of(float x) { return std::exp2(x); }

}  // namespace sightline::attention::cuda
