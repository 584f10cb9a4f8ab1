#pragma once
// Attention in double precision, straight from the formula in attention.h: what kernels are held
// to.

#include "attention/attention.h"

namespace sightline::attention {

void attend_reference(const Problem& problem);

/// One element of a block as its format defines it; token counts within the block.
double key_at(const Block& block, bool coded, int kv_head, int head_dim, int token, int channel);
double value_at(const Block& block, bool coded, int kv_head, int head_dim, int token, int channel);

}  // namespace sightline::attention
