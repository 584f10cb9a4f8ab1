#include "attention/cpu/features.h"

#if defined(_MSC_VER) && !defined(__clang__)
#include <immintrin.h>
#include <intrin.h>

namespace sightline::attention::cpu {
namespace {

struct Cpuid {
  int eax, ebx, ecx, edx;
};

Cpuid cpuid(int leaf, int subleaf = 0) {
  int registers[4];
  __cpuidex(registers, leaf, subleaf);
  return {registers[0], registers[1], registers[2], registers[3]};
}

bool bit(int word, int index) { return ((word >> index) & 1) != 0; }

/// Whether the operating system saves these parts of the vector state (XCR0 bits).
bool saves(unsigned long long mask) { return bit(cpuid(1).ecx, 27) && (_xgetbv(0) & mask) == mask; }

}  // namespace

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
#else
#include <cpuid.h>

namespace sightline::attention::cpu {
namespace {

struct Cpuid {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
};

/// Zeros where the processor has no such leaf.
Cpuid cpuid(unsigned leaf, unsigned subleaf = 0) {
  Cpuid id;
  __get_cpuid_count(leaf, subleaf, &id.eax, &id.ebx, &id.ecx, &id.edx);
  return id;
}

bool bit(unsigned word, int index) { return (word >> index & 1) != 0; }

}  // namespace

// What the compiler's run time knows, it has compared with what the operating system saves.
bool has_avx2() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && bit(cpuid(1).ecx, 29);
}

bool has_avx512() {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

bool has_avxvnni() { return has_avx2() && bit(cpuid(7, 1).eax, 4); }
bool has_avx512vnni() { return has_avx512() && __builtin_cpu_supports("avx512vnni"); }

}  // namespace sightline::attention::cpu
#endif
