#pragma once
// The kernels as nvcc compiled them, inside this library.

#include <span>

namespace sightline::attention::cuda {

/// Fatbins, one for each source of kernels; none where there was no nvcc to compile them.
std::span<const void* const> kernel_images();

}  // namespace sightline::attention::cuda
