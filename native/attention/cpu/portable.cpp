#include <bit>
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

/// An array whose loops compilers make vectors of. It is as wide as a panel and has many rows to a
/// tile: converting halves and codes costs more than multiplying them.
struct V {
  static constexpr int kWidth = 16;
  static constexpr int kRows = 7;  // GCC does not unroll more
  static constexpr int kIntegerRegisters = 9;
  static constexpr int kIntegerPanels = 1;
  static constexpr int kPanels = 1;
  static constexpr int kDotBias = 0;
  float lane[kWidth];

  template <typename F>
  static V each(const F& f) {
    V v;
    for (int i = 0; i < kWidth; i++) v.lane[i] = f(i);
    return v;
  }
  static void prefetch(const void*) {}
  static V load(const float* p) {
    return each([&](int i) { return p[i]; });
  }
  static V load(const Half* p) {
    uint16_t halves[kWidth];
    std::memcpy(halves, p, sizeof halves);
    return each([&](int i) { return half_to_float(halves[i]); });
  }
  static V load(const E4m3* p) {
    const auto* codes = reinterpret_cast<const uint8_t*>(p);
    return each([&](int i) {
      return half_to_float(static_cast<uint16_t>((codes[i] & 0x80) << 8 | (codes[i] & 0x7f) << 7));
    });
  }
  void store(float* p) const {
    for (int i = 0; i < kWidth; i++) p[i] = lane[i];
  }
  static V broadcast(float x) {
    return each([&](int) { return x; });
  }
  static V zero() { return broadcast(0.0f); }
  static V fma(const V& a, const V& b, const V& c) {
    return each([&](int i) { return a.lane[i] * b.lane[i] + c.lane[i]; });
  }
  static V mul(const V& a, const V& b) {
    return each([&](int i) { return a.lane[i] * b.lane[i]; });
  }
  static V add(const V& a, const V& b) {
    return each([&](int i) { return a.lane[i] + b.lane[i]; });
  }
  static V sub(const V& a, const V& b) {
    return each([&](int i) { return a.lane[i] - b.lane[i]; });
  }
  static V max(const V& a, const V& b) {
    return each([&](int i) { return a.lane[i] > b.lane[i] ? a.lane[i] : b.lane[i]; });
  }
  static V magnitude(const V& a) {
    return each([&](int i) { return std::fabs(a.lane[i]); });
  }
  static V round(const V& a) {
    constexpr float kWhole = 0x1.8p23f;  // a unit in the last place is 1; |a| < 2^22
    return each([&](int i) { return (a.lane[i] + kWhole) - kWhole; });
  }
  static V scale2(const V& a, const V& n) {
    return each([&](int i) {
      const int32_t bits = (static_cast<int32_t>(n.lane[i]) + 127) << 23;
      return a.lane[i] * std::bit_cast<float>(bits);
    });
  }
  static float sum(V a) {
    for (int half = kWidth / 2; half > 0; half /= 2)
      for (int i = 0; i < half; i++) a.lane[i] += a.lane[i + half];
    return a.lane[0];
  }
  static float largest(const V& a) {
    float top = a.lane[0];
    for (float x : a.lane) top = x > top ? x : top;
    return top;
  }

  /// Sums of up to 1024 products of codes and digits, or numbers: below 2^24, so exact.
  struct Sums {
    float lane[kWidth];
  };
  struct Bytes {
    uint32_t word[kWidth];
  };
  struct Fields {
    float code[4][kWidth];
  };
  struct Digits {
    float digit[4];
  };
  static Sums no_sums() { return Sums{}; }
  static Bytes load_bytes(const uint8_t* p) {
    static_assert(std::endian::native == std::endian::little);
    Bytes bytes;
    std::memcpy(bytes.word, p, sizeof bytes.word);
    return bytes;
  }
  template <int kBits, int kShift>
  static Fields field(const Bytes& bytes) {
    Fields fields;
    for (int j = 0; j < 4; j++) {
      const int shift = 8 * j + kShift;
      for (int i = 0; i < kWidth; i++) {
        const auto code = static_cast<int32_t>(bytes.word[i] >> shift & ((1u << kBits) - 1));
        fields.code[j][i] = static_cast<float>(code);
      }
    }
    return fields;
  }
  static Digits load_digits(const int8_t* p) {
    return {{static_cast<float>(p[0]), static_cast<float>(p[1]), static_cast<float>(p[2]),
             static_cast<float>(p[3])}};
  }
  static Sums dot4(Sums sums, const Fields& fields, const Digits& digits) {
    for (int i = 0; i < kWidth; i++)
      for (int j = 0; j < 4; j++) sums.lane[i] += fields.code[j][i] * digits.digit[j];
    return sums;
  }
  static V combine(const Sums& high, const Sums& low, int32_t offset) {
    return each([&](int i) {
      const auto sum = static_cast<int32_t>(high.lane[i]) * 128 + static_cast<int32_t>(low.lane[i]);
      return static_cast<float>(sum + offset);
    });
  }
  static V to_floats(const Sums& sums, int32_t offset) {
    return each(
        [&](int i) { return static_cast<float>(static_cast<int32_t>(sums.lane[i]) + offset); });
  }
  static int32_t sum(const Sums& a) {
    float total = 0;
    for (float x : a.lane) total += x;
    return static_cast<int32_t>(total);
  }
  template <int kDigits>
  static Sums cut(const V (&numbers)[4], int8_t* high, int8_t* low, Sums sums) {
    for (int n = 0; n < 4; n++) {
      const V rounded = round(numbers[n]);
      for (int i = 0; i < kWidth; i++) {
        const auto number = static_cast<int32_t>(rounded.lane[i]);
        const int32_t top = kDigits == 1 ? number : (number + 64) >> 7;
        high[n * kWidth + i] = static_cast<int8_t>(top);
        if constexpr (kDigits == 2) low[n * kWidth + i] = static_cast<int8_t>(number - top * 128);
        sums.lane[i] += rounded.lane[i];
      }
    }
    return sums;
  }
};

#include "attention/cpu/body.inl"

}  // namespace

const Kernel kPortable{"portable", [] { return true; }, attend, observe};

}  // namespace sightline::attention::cpu
