#pragma once
// The rotation of int4 keys: a Hadamard transform along the channels, which spreads what single
// channels carry over all of them.

#include <cmath>

namespace sightline::attention {

/// Channels that are rotated together: the largest power of two that divides head_dim.
constexpr int rotated_together(int head_dim) { return head_dim & -head_dim; }

/// Rotates head_dim elements in place. Orthonormal, and its own inverse (Sylvester's construction).
template <typename T>
void rotate(T* elements, int head_dim) {
  const int n = rotated_together(head_dim);
  const T norm = 1 / std::sqrt(static_cast<T>(n));
  for (T* block = elements; block < elements + head_dim; block += n) {
    for (int half = 1; half < n; half *= 2) {
      for (int first = 0; first < n; first += 2 * half) {
        for (int i = first; i < first + half; i++) {
          const T a = block[i], b = block[i + half];
          block[i] = a + b;
          block[i + half] = a - b;
        }
      }
    }
    for (int i = 0; i < n; i++) block[i] *= norm;
  }
}

}  // namespace sightline::attention
