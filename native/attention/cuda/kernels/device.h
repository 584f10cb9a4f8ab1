#pragma once
// One spelling of what kernels need besides C++: nvcc's, or the emulator's. Kernels use nothing of
// CUDA but this.

#if defined(__CUDACC__)
#include "attention/cuda/kernels/instructions.h"
#else
#include "attention/cuda/emulator/device.h"
#endif
