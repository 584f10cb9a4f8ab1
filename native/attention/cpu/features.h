#pragma once
// What this processor can run, and how a file asks its compiler for more than the baseline.
// Headers stay outside the region, so that nothing shared is compiled for a newer processor.

#if defined(__clang__)
#define SIGHTLINE_PRAGMA(text) _Pragma(#text)
#define SIGHTLINE_TARGET_BEGIN(features) \
  SIGHTLINE_PRAGMA(clang attribute push(__attribute__((target(features))), apply_to = function))
#define SIGHTLINE_TARGET_END _Pragma("clang attribute pop")
#elif defined(__GNUC__)
#define SIGHTLINE_PRAGMA(text) _Pragma(#text)
#define SIGHTLINE_TARGET_BEGIN(features) \
  _Pragma("GCC push_options") SIGHTLINE_PRAGMA(GCC target(features))
#define SIGHTLINE_TARGET_END _Pragma("GCC pop_options")
#else
#define SIGHTLINE_TARGET_BEGIN(features)
#define SIGHTLINE_TARGET_END
#endif

namespace sightline::attention::cpu {

// features_x86.cpp
bool has_avx2();        // with FMA and F16C
bool has_avxvnni();     // integer dot products, with the above
bool has_avx512();      // F, BW, DQ and VL, with those of has_avx2
bool has_avx512vnni();  // integer dot products, with the above

// features_arm.cpp
bool has_dotprod();  // integer dot products; every AArch64 processor has NEON

}  // namespace sightline::attention::cpu
