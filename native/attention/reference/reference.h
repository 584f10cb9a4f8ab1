#pragma once
// Attention as the formula says, in double precision: what every kernel is compared with.

#include "attention/attention.h"

namespace sightline::attention {

/// An element as a copy stores it; `index` counts the tokens that the copy holds.
double key_at(const Copy& copy, int kv_head, int head_dim, int index, int channel);
double value_at(const Copy& copy, int kv_head, int head_dim, int index, int channel);

/// Writes problem.out; adds to problem.received.
void attend_reference(const Problem& problem);

}  // namespace sightline::attention
