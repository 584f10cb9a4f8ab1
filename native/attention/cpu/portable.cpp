#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include "attention/cpu/kernel.h"
#include "attention/half.h"

namespace sightline::attention::cpu {
namespace {

struct Half;
struct V {
  static constexpr int kWidth = 8;
  static constexpr int kRows = 4;
  float lane[kWidth];

  template <typename F>
  static V each(F&& f) {
    V v;
    for (int i = 0; i < kWidth; i++) v.lane[i] = f(i);
    return v;
  }
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
  static V load(const uint8_t* p) {
    return each([&](int i) { return float{p[i] * 1.0f}; });
  }
  static V load(const int8_t* p) {
    return each([&](int i) { return float{p[i] * 1.0f}; });
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
  static V max(V a, V b) {
    return each([&](int i) { return a.lane[i] > b.lane[i] ? a.lane[i] : b.lane[i]; });
  }
  static V round(V a) {
    return each([&](int i) { return std::nearbyint(a.lane[i]); });
  }
  static V pow2(V a) {
    return each([&](int i) {
      const uint32_t bits = static_cast<uint32_t>(static_cast<int>(a.lane[i]) + 127) << 23;
      return std::bit_cast<float>(bits);
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
  static V mul(V a, V b) {
    return each([&](int i) { return a.lane[i] * b.lane[i]; });
  }
  static V add(V a, V b) {
    return each([&](int i) { return a.lane[i] + b.lane[i]; });
  }
};

#include "attention/cpu/body.inl"

}  // namespace

const Kernel kPortable{"portable", [] { return true; }, attend};

}  // namespace sightline::attention::cpu
