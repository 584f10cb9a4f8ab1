#pragma once
// What a node of a graph is and what it is bound to do, as ggml describes it.

#include "device/profile.h"
#include "ggml.h"

namespace sightline::device {

/// `device`: that the node runs on.
Operation describe(const ggml_tensor* node, std::string device);

/// FLOPs: 2 m n k of a product, 4 heads head_dim (tokens seen) of attention, where those hidden by
/// the mask count as seen; one for each element of anything else that calculates. Bytes: every
/// element that is read or written, once; of a product with experts, as many of these as there can
/// be.
Cost cost_of(const ggml_tensor* node);

}  // namespace sightline::device
