#include "attention/format/affine.h"

#include <vector>

namespace sightline::attention {
namespace {

constexpr int kMostRefits = 4;

/// The regression of elements on their codes; nothing to fit where all codes are equal.
Affine refitted(std::span<const float> elements, std::span<const float> codes, Affine grid) {
  const auto count = static_cast<float>(elements.size());
  float code_sum = 0, element_sum = 0, square_sum = 0, product_sum = 0;
  for (size_t i = 0; i < elements.size(); i++) {
    code_sum += codes[i];
    element_sum += elements[i];
    square_sum += codes[i] * codes[i];
    product_sum += codes[i] * elements[i];
  }
  const float spread = count * square_sum - code_sum * code_sum;
  if (!(spread > 0.0f)) return grid;
  const float step = (count * product_sum - code_sum * element_sum) / spread;
  const float zero = (element_sum - step * code_sum) / count;
  return {float_to_half(zero), float_to_half(step)};
}

}  // namespace

Affine fitted_affine(std::span<const float> elements, int largest) {
  std::vector<float> codes(elements.size());
  const auto code_all = [&](Affine grid) {
    const float zero = half_to_float(grid.zero);
    const float step = half_to_float(grid.step);
    const float inverse = step > 0.0f ? 1.0f / step : 0.0f;
    float error = 0;
    for (size_t i = 0; i < elements.size(); i++) {
      const float code = std::nearbyint((elements[i] - zero) * inverse);
      codes[i] = std::clamp(code, 0.0f, static_cast<float>(largest));
      const float difference = zero + step * codes[i] - elements[i];
      error += difference * difference;
    }
    return error;
  };

  const auto [low, high] = std::minmax_element(elements.begin(), elements.end());
  Affine best = Affine::covering(*low, *high, largest);
  float least = code_all(best);
  for (int i = 0; i < kMostRefits; i++) {
    const Affine next = refitted(elements, codes, best);
    const float error = code_all(next);
    if (!(error < least)) break;
    best = next;
    least = error;
  }
  return best;
}

}  // namespace sightline::attention
