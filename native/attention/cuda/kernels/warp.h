#pragma once
// One warp's rows, and the products that its lanes make together.

#include "attention/cuda/kernels/eight.h"
#include "attention/cuda/kernels/feed.h"
#include "attention/format/fp8.h"

namespace sightline::attention::cuda {

template <int kHeadDim, typename Mode>
struct Warp : Sizes<kHeadDim> {
  using Sizes<kHeadDim>::kSteps;
  using Sizes<kHeadDim>::kPanels;
  using Sizes<kHeadDim>::kKeyGroup;
  using Sizes<kHeadDim>::kKeyGroups;
  using Feed = cuda::Feed<kHeadDim, Mode>;
  static constexpr int kEights = Mode::template kEights<kHeadDim>;

  /// Of 16 tokens, for every eight.
  using Logits = float[kEights][4];

  Eight<kHeadDim> eights[kEights];
  // of the block at hand
  float key_step;    // of fp8 keys, else 1
  float value_step;  // of fp8 values

  __device__ const Lane& lane() const { return eights[0].lane; }

  __device__ void enter(const CopyView& copy, int kv_head) {
    const std::byte* keys = Feed::keys_of(copy, kv_head);
    const size_t fp8_step = Fp8Layout({kHeadDim, copy.capacity, copy.tokens}).scale;
    key_step = copy.tier.k == Format::fp8 ? float_of(read(halves_at(keys, fp8_step))) : 1.0f;
    if (copy.tier.v == Format::fp8)
      value_step = float_of(read(halves_at(Feed::values_of(copy, kv_head), fp8_step)));
    SIGHTLINE_UNROLLED
    for (int n = 0; n < kEights; n++) eights[n].enter(copy, keys);
  }

  /// The logits of 16 tokens, of whose keys `entry` holds a part.
  __device__ void multiply_keys(const CopyView& copy, const Entry& entry, Logits& logits) {
    switch (copy.tier.k) {
      case Format::int8:
        return multiply_bytes<Format::int8>(entry, logits);
      case Format::fp8:
        return multiply_bytes<Format::fp8>(entry, logits);
      case Format::int4:
        return multiply_int4(entry, logits);
      default:
        return multiply_halves(entry, logits);
    }
  }

  __device__ void multiply(const uint32_t (&a)[4], int step, Logits& logits) {
    SIGHTLINE_UNROLLED
    for (int n = 0; n < kEights; n++) multiply_add(logits[n], a, eights[n].b[step]);
  }

  __device__ void multiply_halves(const Entry& entry, Logits& logits) {
    constexpr int kHalf = Feed::kSlices;
    if (entry.part == 0) {
      for (int s = 0; s < kHalf; s++) multiply_half(entry, s, s, logits);
    } else {
      for (int s = kHalf; s < kPanels; s++) multiply_half(entry, s, s - kHalf, logits);
    }
  }
  __device__ void multiply_half(const Entry& entry, int step, int slice, Logits& logits) {
    uint32_t a[4];
    load_halves(entry.words, 8 * slice, 2 * lane().pair, lane().row, a);
    multiply(a, step, logits);
  }

  template <Format kFormat>
  __device__ void multiply_bytes(const Entry& entry, Logits& logits) {
    for (int s = 0; s < kPanels; s++) {
      uint32_t a[4];
      load_codes<kFormat>(entry.words, 4 * s, lane().pair, 0, lane().row, a);
      multiply(a, s, logits);
    }
  }

  __device__ void multiply_int4(const Entry& entry, Logits& logits) {
    for (int g = 0; g < kKeyGroups; g++) {
      Logits products = {};
      for (int s = g * kKeyGroup / 16; s < (g + 1) * kKeyGroup / 16 + kSteps - kPanels; s++) {
        uint32_t a[4];
        load_codes<Format::int4>(entry.words, s / 2 * 4, lane().pair, s % 2, lane().row, a);
        multiply(a, s, products);
      }
      const float2 step = floats_of(entry.grid(2 * g, lane().row));
      const float2 zero = floats_of(entry.grid(2 * g + 1, lane().row));
      SIGHTLINE_UNROLLED
      for (int n = 0; n < kEights; n++) {
        eights[n].add_grid(logits[n], products[n], step.x, zero.x, g, 0);
        eights[n].add_grid(logits[n], products[n], step.y, zero.y, g, 2);
      }
    }
  }

  /// Adds the values of 16 tokens times their weights.
  __device__ void multiply_values(const CopyView& copy, const Entry& entry, const Logits& weights) {
    switch (copy.tier.v) {
      case Format::int8:
        return multiply_panels<Format::int8>(entry, 0, kPanels, weights,
                                             floats_of(entry.grid(0, lane().row)));
      case Format::fp8:
        return multiply_panels<Format::fp8>(entry, 0, kPanels, weights, {value_step, value_step});
      case Format::int4:
        return multiply_groups<Format::int4, kKeyGroup>(entry, weights);
      case Format::int2:
        return multiply_groups<Format::int2, int2_group(kHeadDim)>(entry, weights);
      default: {
        constexpr int kHalf = Feed::kSlices;
        if (entry.part == 0)
          multiply_panels<Format::fp16>(entry, 0, kHalf, weights, {1, 1});
        else
          multiply_panels<Format::fp16>(entry, kHalf, kPanels, weights, {1, 1}, kHalf);
      }
    }
  }

  template <Format kFormat, int kGroup>
  __device__ void multiply_groups(const Entry& entry, const Logits& weights) {
    for (int g = 0; g < kHeadDim / kGroup; g++) {
      const float2 step = floats_of(entry.grid(2 * g, lane().row));
      const float2 zero = floats_of(entry.grid(2 * g + 1, lane().row));
      const float2 middle = {zero.x + kMiddle<kFormat> * step.x,
                             zero.y + kMiddle<kFormat> * step.y};
      SIGHTLINE_UNROLLED
      for (int n = 0; n < kEights; n++) eights[n].add_zeros(g, weights[n], middle);
      multiply_panels<kFormat>(entry, g * kGroup / kLanes, (g + 1) * kGroup / kLanes, weights,
                               step);
    }
  }

  /// Panels [first, last) of the values, in steps of the tokens' grids; the entry holds those from
  /// `held` on.
  template <Format kFormat>
  __device__ void multiply_panels(const Entry& entry, int first, int last, const Logits& weights,
                                  float2 step, int held = 0) {
    constexpr int kBits = bits_of(kFormat);
    constexpr int kRows = kBits / 2;  // of words in a panel of 16 tokens
    uint32_t operands[kEights][2];
    SIGHTLINE_UNROLLED
    for (int n = 0; n < kEights; n++) {
      const Four four = Eight<kHeadDim>::scaled(weights[n], step);
      operands[n][0] = four.even;
      operands[n][1] = four.odd;
    }
    for (int p = first; p < last; p++) {
      const int at = (p - held) * kRows;
      const int row = lane().pair * kBits / 8;
      uint32_t a[4];
      if constexpr (kFormat == Format::fp16)
        load_halves(entry.words, at, row, lane().row, a);
      else
        load_codes<kFormat>(entry.words, at, row, lane().pair % (8 / kBits), lane().row, a);
      SIGHTLINE_UNROLLED
      for (int n = 0; n < kEights; n++) multiply_add(eights[n].sums[p], a, operands[n]);
    }
  }
};

}  // namespace sightline::attention::cuda
