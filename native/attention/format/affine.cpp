#include "attention/format/affine.h"

#include <limits>

namespace sightline::attention {
namespace {

constexpr int kShrinkSteps = 8;
constexpr float kShrink = 0.05f;  // of the range, a step

float squared_error(std::span<const float> elements, Affine grid, int largest) {
  const float zero = half_to_float(grid.zero);
  const float step = half_to_float(grid.step);
  const float inverse = step > 0.0f ? 1.0f / step : 0.0f;
  float sum = 0.0f;
  for (const float element : elements) {
    const float code = std::nearbyint((element - zero) * inverse);
    const float error = zero + step * std::clamp(code, 0.0f, static_cast<float>(largest)) - element;
    sum += error * error;
  }
  return sum;
}

}  // namespace

Affine best_affine(std::span<const float> elements, int largest) {
  const auto [low, high] = std::minmax_element(elements.begin(), elements.end());
  Affine best = Affine::covering(*low, *high, largest);
  float least = squared_error(elements, best, largest);
  for (int i = 1; i < kShrinkSteps; i++) {
    const float cut = (*high - *low) * kShrink / 2 * static_cast<float>(i);
    const Affine grid = Affine::covering(*low + cut, *high - cut, largest);
    const float error = squared_error(elements, grid, largest);
    if (error < least) {
      least = error;
      best = grid;
    }
  }
  return best;
}

}  // namespace sightline::attention
