#include "attention/cuda/image.h"

#if defined(SIGHTLINE_CUDA_KERNELS)

// The files' bytes under a name of their own each.
#define SIGHTLINE_IMAGE(name)                       \
  asm(".pushsection .rodata\n"                      \
      ".balign 64\n"                                \
      ".hidden sightline_cuda_" #name               \
      "\n"                                          \
      ".global sightline_cuda_" #name               \
      "\n"                                          \
      "sightline_cuda_" #name                       \
      ":\n"                                         \
      ".incbin \"" SIGHTLINE_CUDA_KERNELS "/" #name \
      ".fatbin\"\n"                                 \
      ".popsection\n");                             \
  extern "C" __attribute__((visibility("hidden"))) const char sightline_cuda_##name[];

SIGHTLINE_IMAGE(append)
SIGHTLINE_IMAGE(attend)
SIGHTLINE_IMAGE(code)
SIGHTLINE_IMAGE(observe)
SIGHTLINE_IMAGE(restore)

namespace sightline::attention::cuda {

std::span<const void* const> kernel_images() {
  static const void* const images[] = {sightline_cuda_append, sightline_cuda_attend,
                                       sightline_cuda_code, sightline_cuda_observe,
                                       sightline_cuda_restore};
  return images;
}

}  // namespace sightline::attention::cuda

#else

namespace sightline::attention::cuda {

std::span<const void* const> kernel_images() { return {}; }

}  // namespace sightline::attention::cuda

#endif
