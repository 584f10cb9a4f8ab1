#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include "attention/cpu/kernel.h"
#include "attention/cpu/sources.h"

namespace sightline::attention::cpu {
namespace {

struct Half;
struct E4m3;

/// Arrays whose loops a compiler turns into what vectors the baseline has.
struct V {
  static constexpr int kWidth = 8;
  static constexpr int kRows = 4;
  static constexpr int kIntegerRows = 4;
  static constexpr int kPanels = 1;
  static constexpr int kDotBias = 0;
  float lane[kWidth];

  struct Sums {
    int32_t lane[kWidth];
  };
  struct Bytes {
    uint8_t byte[4 * kWidth];
  };

  template <typename F>
  static V each(F&& f) {
    V v;
    for (int i = 0; i < kWidth; i++) v.lane[i] = f(i);
    return v;
  }
  static void prefetch(const void*) {}
  static V load(const float* p) {
    return each([&](int i) { return p[i]; });
  }
  static V load(const Half* p) {
    return each([&](int i) {
      uint16_t bits;
      std::memcpy(&bits, reinterpret_cast<const char*>(p) + 2 * i, 2);
      return half_to_float(bits);
    });
  }
  static V load(const E4m3* p) {
    const auto* codes = reinterpret_cast<const uint8_t*>(p);
    return each([&](int i) { return e4m3_to_float(codes[i]) * 0x1p-8f; });
  }
  void store(float* p) const {
    for (int i = 0; i < kWidth; i++) p[i] = lane[i];
  }
  static V broadcast(float x) {
    return each([&](int) { return x; });
  }
  static V zero() { return broadcast(0.0f); }
  static V fma(V a, V b, V c) {
    return each([&](int i) { return a.lane[i] * b.lane[i] + c.lane[i]; });
  }
  static V mul(V a, V b) {
    return each([&](int i) { return a.lane[i] * b.lane[i]; });
  }
  static V add(V a, V b) {
    return each([&](int i) { return a.lane[i] + b.lane[i]; });
  }
  static V sub(V a, V b) {
    return each([&](int i) { return a.lane[i] - b.lane[i]; });
  }
  static V max(V a, V b) {
    return each([&](int i) { return a.lane[i] > b.lane[i] ? a.lane[i] : b.lane[i]; });
  }
  static V magnitude(V a) {
    return each([&](int i) { return std::fabs(a.lane[i]); });
  }
  static V round(V a) {
    return each([&](int i) { return std::nearbyint(a.lane[i]); });
  }
  static V scale2(V a, V n) {
    return each([&](int i) {
      const uint32_t bits = static_cast<uint32_t>(static_cast<int>(n.lane[i]) + 127) << 23;
      return a.lane[i] * std::bit_cast<float>(bits);
    });
  }
  static float sum(V a) {
    float total = 0;
    for (float x : a.lane) total += x;
    return total;
  }
  static float largest(V a) {
    float top = a.lane[0];
    for (float x : a.lane) top = x > top ? x : top;
    return top;
  }

  static Sums no_sums() { return Sums{}; }
  static Bytes load_bytes(const uint8_t* p) {
    Bytes bytes;
    std::memcpy(bytes.byte, p, sizeof bytes.byte);
    return bytes;
  }
  template <int kBits, int kShift>
  static Bytes field(Bytes bytes) {
    for (uint8_t& byte : bytes.byte)
      byte = static_cast<uint8_t>(byte >> kShift & ((1 << kBits) - 1));
    return bytes;
  }
  using Digits = const int8_t*;
  static Digits load_digits(const int8_t* p) { return p; }
  static Sums dot4(Sums sums, const Bytes& codes, Digits digits) {
    for (int i = 0; i < kWidth; i++)
      for (int j = 0; j < 4; j++) sums.lane[i] += codes.byte[4 * i + j] * digits[j];
    return sums;
  }
  static V combine(const Sums& high, const Sums& low, int32_t offset) {
    return each(
        [&](int i) { return static_cast<float>(high.lane[i] * 128 + low.lane[i] + offset); });
  }
  static int32_t sum(const Sums& a) {
    int32_t total = 0;
    for (int32_t x : a.lane) total += x;
    return total;
  }
  static Sums cut(const V (&numbers)[4], int8_t* high, int8_t* low, Sums sums) {
    for (int i = 0; i < 4 * kWidth; i++) {
      const auto number =
          static_cast<int32_t>(std::nearbyint(numbers[i / kWidth].lane[i % kWidth]));
      const int32_t top = (number + 64) >> 7;
      high[i] = static_cast<int8_t>(top);
      low[i] = static_cast<int8_t>(number - top * 128);
      sums.lane[i % kWidth] += number;
    }
    return sums;
  }
};

#include "attention/cpu/body.inl"

}  // namespace

const Kernel kPortable{"portable", [] { return true; }, attend, observe};

}  // namespace sightline::attention::cpu
