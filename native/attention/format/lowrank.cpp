#include "attention/format/lowrank.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "attention/half.h"

namespace sightline::attention {
namespace {

struct Eigen {
  std::vector<double> values;   // descending
  std::vector<double> vectors;  // [n][n], row r belongs to values[r]
};

/// Eigenvalues and vectors of a symmetric matrix by cyclic Jacobi rotations (Golub and Van Loan,
/// Matrix Computations, section 8.5).
Eigen eigen_of(std::vector<double> a, int n) {
  constexpr int kMostSweeps = 30;
  const auto at = [n](int i, int j) { return area(i, n) + static_cast<size_t>(j); };
  std::vector<double> v(area(n, n), 0.0);
  for (int i = 0; i < n; i++) v[at(i, i)] = 1.0;
  double norm = 0;
  for (const double x : a) norm += x * x;

  for (int sweep = 0; sweep < kMostSweeps; sweep++) {
    double off = 0;
    for (int p = 0; p < n; p++)
      for (int q = p + 1; q < n; q++) off += a[at(p, q)] * a[at(p, q)];
    if (off <= 1e-20 * norm) break;
    for (int p = 0; p < n; p++) {
      for (int q = p + 1; q < n; q++) {
        if (a[at(p, q)] == 0.0) continue;
        const double theta = (a[at(q, q)] - a[at(p, p)]) / (2 * a[at(p, q)]);
        const double t = std::copysign(1.0, theta) / (std::fabs(theta) + std::hypot(theta, 1.0));
        const double c = 1 / std::hypot(t, 1.0);
        const double s = t * c;
        for (int i = 0; i < n; i++) {
          const double x = a[at(i, p)], y = a[at(i, q)];
          a[at(i, p)] = c * x - s * y;
          a[at(i, q)] = s * x + c * y;
        }
        for (int i = 0; i < n; i++) {
          const double x = a[at(p, i)], y = a[at(q, i)];
          a[at(p, i)] = c * x - s * y;
          a[at(q, i)] = s * x + c * y;
          const double u = v[at(p, i)], w = v[at(q, i)];
          v[at(p, i)] = c * u - s * w;
          v[at(q, i)] = s * u + c * w;
        }
      }
    }
  }

  std::vector<int> order(static_cast<size_t>(n));
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](int i, int j) { return a[at(i, i)] > a[at(j, j)]; });
  Eigen eigen{{}, {}};
  for (const int row : order) {
    eigen.values.push_back(std::max(a[at(row, row)], 0.0));
    eigen.vectors.insert(eigen.vectors.end(), v.begin() + static_cast<ptrdiff_t>(at(row, 0)),
                         v.begin() + static_cast<ptrdiff_t>(at(row, 0)) + n);
  }
  return eigen;
}

/// Of the channels' inner products over the tokens: their eigenvectors are the keys' right singular
/// vectors.
Eigen singular(const uint16_t* halves, const Extent& extent) {
  const int n = extent.head_dim;
  std::vector<double> keys(area(n, extent.tokens));
  for (int c = 0; c < n; c++)
    for (int t = 0; t < extent.tokens; t++)
      keys[area(c, extent.tokens) + static_cast<size_t>(t)] =
          half_to_float(halves[key_index(extent, t, c)]);
  std::vector<double> products(area(n, n));
  for (int i = 0; i < n; i++) {
    const auto row = keys.begin() + static_cast<ptrdiff_t>(area(i, extent.tokens));
    for (int j = i; j < n; j++) {
      const auto other = keys.begin() + static_cast<ptrdiff_t>(area(j, extent.tokens));
      const double product = std::inner_product(row, row + extent.tokens, other, 0.0);
      products[area(i, n) + static_cast<size_t>(j)] = product;
      products[area(j, n) + static_cast<size_t>(i)] = product;
    }
  }
  return eigen_of(std::move(products), n);
}

}  // namespace

int rank_for_energy(const uint16_t* halves, const Extent& extent, double energy) {
  const Eigen eigen = singular(halves, extent);
  const double wanted = energy * std::accumulate(eigen.values.begin(), eigen.values.end(), 0.0);
  double kept = 0;
  int rank = 0;
  while (rank < extent.head_dim && (rank == 0 || kept < wanted))
    kept += eigen.values[static_cast<size_t>(rank++)];
  return rank;
}

void encode_keys_lowrank(const uint16_t* halves, std::byte* out, const Extent& extent) {
  const LowrankKeys layout(extent);
  const Eigen eigen = singular(halves, extent);
  auto* weight = at_offset<uint16_t>(out, layout.weight);
  auto* basis = at_offset<uint16_t>(out, layout.basis);
  for (int r = 0; r < extent.rank; r++) {
    const double* vector = eigen.vectors.data() + area(r, extent.head_dim);
    for (int c = 0; c < extent.head_dim; c++)
      basis[area(r, extent.head_dim) + static_cast<size_t>(c)] =
          float_to_half(static_cast<float>(vector[c]));
    for (int t = 0; t < extent.capacity; t++) {
      double sum = 0;
      for (int c = 0; c < extent.head_dim && t < extent.tokens; c++)
        sum += vector[c] * half_to_float(halves[key_index(extent, t, c)]);
      weight[panel_index(r, extent.rank, t)] =
          float_to_half(std::clamp(static_cast<float>(sum), -65504.0f, 65504.0f));
    }
  }
}

void decode_keys_lowrank(const std::byte* coded, uint16_t* halves, const Extent& extent) {
  const LowrankKeys layout(extent);
  const auto* weight = at_offset<uint16_t>(coded, layout.weight);
  const auto* basis = at_offset<uint16_t>(coded, layout.basis);
  for (int c = 0; c < extent.head_dim; c++) {
    for (int t = 0; t < extent.tokens; t++) {
      float sum = 0;
      for (int r = 0; r < extent.rank; r++)
        sum += half_to_float(weight[panel_index(r, extent.rank, t)]) *
               half_to_float(basis[area(r, extent.head_dim) + static_cast<size_t>(c)]);
      halves[key_index(extent, t, c)] = float_to_half(sum);
    }
  }
}

}  // namespace sightline::attention
