#pragma once
// Codes of an affine grid: element = zero + step * code, code from 0 to a largest one.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>

#include "attention/half.h"

namespace sightline::attention {

struct Affine {
  uint16_t zero, step;  // halves

  /// Covers [low, high] with codes up to `largest`: rounded outwards, so that no element is cut
  /// off.
  static Affine covering(float low, float high, int largest) {
    const uint16_t zero = half_at_most(low);
    const float range = high - half_to_float(zero);
    return {zero, half_at_least(range / static_cast<float>(largest))};
  }

  float decode(int code) const {
    return half_to_float(zero) + half_to_float(step) * static_cast<float>(code);
  }
};

/// Turns elements into codes of one grid. NaN, which no integer is, gives 0.
class AffineCoder {
 public:
  AffineCoder(Affine grid, int largest)
      : zero_(half_to_float(grid.zero)), largest_(static_cast<float>(largest)) {
    const float step = half_to_float(grid.step);
    inverse_ = step > 0.0f ? 1.0f / step : 0.0f;
  }

  uint8_t operator()(float element) const {
    const float code = std::nearbyint((element - zero_) * inverse_);
    return static_cast<uint8_t>(code > 0.0f ? std::min(code, largest_) : 0.0f);
  }

 private:
  float zero_, largest_, inverse_;
};

/// A grid of codes up to `largest` for these elements: the one over their whole range, refitted by
/// least squares to the codes it gives as long as the squared error falls.
Affine fitted_affine(std::span<const float> elements, int largest);

}  // namespace sightline::attention
