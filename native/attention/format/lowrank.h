#pragma once
// lowrank: the keys of a block as a product of two thin matrices, its truncated singular value
// decomposition; for keys only, experimental.
//
//   K  half weight [capacity / 16][rank][16], then half basis [rank][head_dim]
//      k[t][c] = sum over r of weight[t / 16][r][t % 16] * basis[r][c]
//
// The basis is orthonormal: the leading right singular vectors, so that no other product of this
// rank has a smaller squared error (Eckart and Young, 1936).

#include "attention/block.h"
#include "attention/format/access.h"

namespace sightline::attention {

struct LowrankKeys {
  size_t weight = 0, basis, bytes;
  constexpr explicit LowrankKeys(const Extent& extent)
      : basis(sizeof(uint16_t) * area(extent.rank, extent.capacity)),
        bytes(basis + sizeof(uint16_t) * area(extent.rank, extent.head_dim)) {}
};

void encode_keys_lowrank(const uint16_t* halves, std::byte* out, const Extent& extent);
void decode_keys_lowrank(const std::byte* coded, uint16_t* halves, const Extent& extent);

/// The least rank whose product keeps this share of the keys' squared norm, 0 < energy <= 1.
int rank_for_energy(const uint16_t* halves, const Extent& extent, double energy);

}  // namespace sightline::attention
