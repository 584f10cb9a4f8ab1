#include "attention/cpu/kernel.h"

#include <algorithm>
#include <array>

namespace sightline::attention::cpu {

std::span<const Kernel> kernels() {
  static const std::array kRows {
#if defined(__x86_64__) || defined(_M_X64)
    kAvx512Vnni, kAvx512, kAvxVnni, kAvx2,
#elif defined(__aarch64__) || defined(_M_ARM64)
    kDotprod, kNeon,
#endif
        kPortable
  };
  return kRows;
}

const Kernel* choose_kernel(std::string_view name) {
  const auto rows = kernels();
  const auto row = std::find_if(rows.begin(), rows.end(), [&](const Kernel& kernel) {
    return (name.empty() || kernel.name == name) && kernel.runs_here();
  });
  return row == rows.end() ? nullptr : &*row;
}

}  // namespace sightline::attention::cpu
