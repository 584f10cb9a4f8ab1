#pragma once
// Codes of an affine grid: element = zero + step * code, code from 0 to a largest one.

#include <math.h>

#include <cstdint>

#include "attention/both_sides.h"
#include "attention/half.h"

namespace sightline::attention {

struct Affine {
  uint16_t zero, step;  // halves

  /// Covers [low, high] with codes up to `largest`: rounded outwards, so that no element is cut
  /// off.
  SIGHTLINE_BOTH static Affine covering(float low, float high, int largest) {
    const uint16_t zero = half_at_most(low);
    const float range = high - half_to_float(zero);
    return {zero, half_at_least(range / static_cast<float>(largest))};
  }

  /// Covers element_at(0), ..., element_at(count - 1).
  template <typename Element>
  SIGHTLINE_BOTH static Affine over(const Element& element_at, int count, int largest) {
    float low = element_at(0), high = low;
    for (int i = 1; i < count; i++) {
      const float x = element_at(i);
      if (x < low) low = x;
      if (x > high) high = x;
    }
    return covering(low, high, largest);
  }

  SIGHTLINE_BOTH float decode(int code) const {
    return half_to_float(zero) + half_to_float(step) * static_cast<float>(code);
  }
};

/// Turns elements into codes of one grid. NaN, which no integer is, gives 0.
class AffineCoder {
 public:
  SIGHTLINE_BOTH AffineCoder(Affine grid, int largest)
      : zero_(half_to_float(grid.zero)),
        step_(half_to_float(grid.step)),
        inverse_(inverse_step(grid.step)),
        largest_(static_cast<float>(largest)) {}

  /// As a float.
  SIGHTLINE_BOTH float code_of(float element) const {
    const float code = nearbyintf((element - zero_) * inverse_);
    return code > 0.0f ? (code < largest_ ? code : largest_) : 0.0f;
  }
  SIGHTLINE_BOTH uint8_t operator()(float element) const {
    return static_cast<uint8_t>(code_of(element));
  }
  SIGHTLINE_BOTH float decode(float code) const { return zero_ + step_ * code; }

 private:
  float zero_, step_, inverse_, largest_;
};

/// What a grid makes of some elements: its squared error, and the sums that a regression of the
/// elements on their codes takes.
struct AffineFit {
  float error = 0, code = 0, element = 0, square = 0, product = 0;

  template <typename Element>
  SIGHTLINE_BOTH AffineFit(const Element& element_at, int count, Affine grid, int largest) {
    const AffineCoder coder(grid, largest);
    for (int i = 0; i < count; i++) {
      const float x = element_at(i);
      const float coded = coder.code_of(x);
      const float difference = coder.decode(coded) - x;
      error += difference * difference;
      code += coded;
      element += x;
      square += coded * coded;
      product += coded * x;
    }
  }

  /// The regression; the same grid where all codes are equal.
  SIGHTLINE_BOTH Affine refitted(int elements, Affine grid) const {
    const auto count = static_cast<float>(elements);
    const float spread = count * square - code * code;
    if (!(spread > 0.0f)) return grid;
    const float step = (count * product - code * element) / spread;
    const float zero = (element - step * code) / count;
    return {float_to_half(zero), float_to_half(step)};
  }
};

/// A grid of codes up to `largest` for element_at(0), ..., element_at(count - 1): the one over
/// their whole range, refitted by least squares to the codes it gives as long as the squared error
/// falls.
template <typename Element>
SIGHTLINE_BOTH Affine fitted_affine(const Element& element_at, int count, int largest) {
  constexpr int kMostRefits = 4;
  Affine best = Affine::over(element_at, count, largest);
  AffineFit fit(element_at, count, best, largest);
  for (int i = 0; i < kMostRefits; i++) {
    const Affine next = fit.refitted(count, best);
    const AffineFit better(element_at, count, next, largest);
    if (!(better.error < fit.error)) break;
    best = next;
    fit = better;
  }
  return best;
}

}  // namespace sightline::attention
