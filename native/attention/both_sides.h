#pragma once
// For functions that the CPU and a GPU's kernels share.

#if defined(__CUDACC__)
#define SIGHTLINE_BOTH __host__ __device__
#else
#define SIGHTLINE_BOTH
#endif
