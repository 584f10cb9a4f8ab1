#pragma once
// `rotate` (format/rotation.h) of many rows by a block of threads: every stage over all of them.

#include "attention/cuda/kernels/device.h"
#include "attention/format/rotation.h"

namespace sightline::attention::cuda {

/// Rotates rows in shared memory, row_at(0), ..., row_at(rows - 1), in place. All threads of the
/// block call it, and may read the rows behind it.
template <int kThreads, typename RowAt>
__device__ void rotate_rows(const RowAt& row_at, int rows, int head_dim, int thread) {
  const int together = rotated_together(head_dim);
  const int pairs = head_dim / 2;
  for (int half = 1; half < together; half *= 2) {
    for (int i = thread; i < rows * pairs; i += kThreads) {
      const int pair = i % pairs;
      float* at = row_at(i / pairs) + pair / half * 2 * half + pair % half;
      const float a = at[0], b = at[half];
      at[0] = a + b;
      at[half] = a - b;
    }
    sync_block();
  }
  const float norm = 1.0f / sqrtf(static_cast<float>(together));
  for (int i = thread; i < rows * head_dim; i += kThreads)
    row_at(i / head_dim)[i % head_dim] *= norm;
  sync_block();
}

}  // namespace sightline::attention::cuda
