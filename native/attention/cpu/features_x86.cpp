#include "attention/cpu/features.h"

#if defined(_MSC_VER) && !defined(__clang__)
#include <immintrin.h>
#include <intrin.h>
#else
#include <cpuid.h>
#endif

namespace sightline::attention::cpu {
namespace {

struct Cpuid {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
};

#if defined(_MSC_VER) && !defined(__clang__)

/// Zeros where the processor has no such leaf.
Cpuid cpuid(unsigned leaf, unsigned subleaf = 0) {
  int of_leaf[4];
  __cpuid(of_leaf, 0);
  if (static_cast<unsigned>(of_leaf[0]) < leaf) return {};
  __cpuidex(of_leaf, static_cast<int>(leaf), static_cast<int>(subleaf));
  const auto part = [&](int index) { return static_cast<unsigned>(of_leaf[index]); };
  return {part(0), part(1), part(2), part(3)};
}

/// XCR0: the parts of the vector state that the operating system saves.
unsigned saved_parts() { return static_cast<unsigned>(_xgetbv(0)); }

#else

/// Zeros where the processor has no such leaf.
Cpuid cpuid(unsigned leaf, unsigned subleaf = 0) {
  Cpuid id;
  __get_cpuid_count(leaf, subleaf, &id.eax, &id.ebx, &id.ecx, &id.edx);
  return id;
}

/// XCR0: the parts of the vector state that the operating system saves.
unsigned saved_parts() {
  unsigned low = 0, high = 0;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return low;
}

#endif

bool bit(unsigned word, int index) { return (word >> index & 1) != 0; }

bool saves(unsigned parts) { return bit(cpuid(1).ecx, 27) && (saved_parts() & parts) == parts; }

}  // namespace

// The bits themselves: not every compiler's run time has __builtin_cpu_supports.
bool has_avx2() {
  const Cpuid one = cpuid(1);
  return saves(0x6) && bit(one.ecx, 12) && bit(one.ecx, 29) && bit(cpuid(7).ebx, 5);
}

bool has_avx512() {
  const Cpuid seven = cpuid(7);
  return has_avx2() && saves(0xe6) && bit(seven.ebx, 16) && bit(seven.ebx, 17) &&
         bit(seven.ebx, 30) && bit(seven.ebx, 31);
}

bool has_avxvnni() { return has_avx2() && bit(cpuid(7, 1).eax, 4); }
bool has_avx512vnni() { return has_avx512() && bit(cpuid(7).ecx, 11); }

}  // namespace sightline::attention::cpu
