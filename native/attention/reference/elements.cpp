// The formats read element by element, straight from the coordinate maps in format/.

#include <bit>
#include <cassert>
#include <cmath>

#include "attention/format/format.h"
#include "attention/format/fp8.h"
#include "attention/format/int2.h"
#include "attention/format/int4.h"
#include "attention/format/int8.h"
#include "attention/format/lowrank.h"
#include "attention/format/rotation.h"
#include "attention/half.h"
#include "attention/reference/reference.h"

namespace sightline::attention {
namespace {

double half_of(const std::byte* data, int index) {
  return half_to_float(at_offset<uint16_t>(data, 0)[index]);
}

int byte_of(const std::byte* data, int index) { return std::to_integer<int>(data[index]); }

const std::byte* part_of(const Copy& copy, int kv_head, int head_dim) {
  return copy.data + part_bytes(copy.tier, copy.extent(head_dim)) * static_cast<size_t>(kv_head);
}

/// What the code of a grouped format stands for, without the mean; `row` runs along what four codes
/// side by side belong to, `lane` across it.
double grouped_code(const std::byte* data, const GroupedLayout& layout, int bits, int row, int rows,
                    int lane, int at) {
  const int run = 32 / bits;
  const int byte = ((lane / 16 * (rows / run) + row / run) * 16 + lane % 16) * 4 + row % 4;
  const int code = byte_of(data + layout.codes, byte) >> (row % run / 4 * bits) & ((1 << bits) - 1);
  return half_of(data + layout.zero, at) + half_of(data + layout.scale, at) * code;
}

double grouped_value(const std::byte* v, const Extent& e, const GroupedLayout& layout, int bits,
                     int t, int c) {
  return half_of(v + layout.mean, c) +
         grouped_code(v, layout, bits, t, e.capacity, c, c / layout.group * e.capacity + t);
}

/// A row of the rotation, by its formula: entry (i, j) is (-1)^popcount(i & j) / sqrt(n).
double int4_key(const std::byte* k, const Extent& e, int t, int c) {
  const GroupedLayout layout = int4_layout(e);
  const int n = rotated_together(e.head_dim);
  const int first = c / n * n;
  double sum = 0;
  for (int j = 0; j < n; j++) {
    const int channel = first + j;
    const double rotated =
        grouped_code(k, layout, 4, channel, e.head_dim, t, channel / layout.group * e.capacity + t);
    sum += std::popcount(static_cast<unsigned>(c - first) & static_cast<unsigned>(j)) % 2 == 0
               ? rotated
               : -rotated;
  }
  return half_of(k + layout.mean, c) + sum / std::sqrt(static_cast<double>(n));
}

}  // namespace

double key_at(const Copy& copy, int kv_head, int head_dim, int t, int c) {
  const Extent e = copy.extent(head_dim);
  const std::byte* k = part_of(copy, kv_head, head_dim);
  switch (copy.tier.k) {
    case Format::fp16:
      return half_of(k, (t / 16 * e.head_dim + c) * 16 + t % 16);
    case Format::fp8: {
      const Fp8Layout layout(e);
      const auto code = static_cast<uint8_t>(byte_of(k, (t / 16 * e.head_dim + c) * 16 + t % 16));
      return double{e4m3_to_float(code)} * half_of(k + layout.scale, 0);
    }
    case Format::int8: {
      const Int8Keys layout(e);
      const int code = byte_of(k + layout.codes,
                               ((t / 16 * (e.head_dim / 4) + c / 4) * 16 + t % 16) * 4 + c % 4);
      return half_of(k + layout.zero, c) + half_of(k + layout.scale, c) * code;
    }
    case Format::int4:
      return int4_key(k, e, t, c);
    case Format::lowrank: {
      const LowrankKeys layout(e);
      double sum = 0;
      for (int r = 0; r < e.rank; r++)
        sum += half_of(k, (t / 16 * e.rank + r) * 16 + t % 16) *
               half_of(k + layout.basis, r * e.head_dim + c);
      return sum;
    }
    case Format::int2:
      break;
  }
  assert(!"no format of keys");
  return 0;
}

double value_at(const Copy& copy, int kv_head, int head_dim, int t, int c) {
  const Extent e = copy.extent(head_dim);
  const std::byte* v = part_of(copy, kv_head, head_dim) + values_offset(copy.tier, e);
  switch (copy.tier.v) {
    case Format::fp16:
      return half_of(v, (c / 16 * e.capacity + t) * 16 + c % 16);
    case Format::fp8: {
      const Fp8Layout layout(e);
      const auto code = static_cast<uint8_t>(byte_of(v, (c / 16 * e.capacity + t) * 16 + c % 16));
      return double{e4m3_to_float(code)} * half_of(v + layout.scale, 0);
    }
    case Format::int8: {
      const Int8Values layout(e);
      const int code = byte_of(v + layout.codes,
                               ((c / 16 * (e.capacity / 4) + t / 4) * 16 + c % 16) * 4 + t % 4) -
                       kInt8ValueBias;
      return half_of(v + layout.scale, t) * code;
    }
    case Format::int4:
      return grouped_value(v, e, int4_layout(e), 4, t, c);
    case Format::int2:
      return grouped_value(v, e, int2_layout(e), 2, t, c);
    case Format::lowrank:
      break;
  }
  assert(!"no format of values");
  return 0;
}

}  // namespace sightline::attention
