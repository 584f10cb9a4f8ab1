#include "attention/cuda/emulator/kernels.h"

#include <algorithm>
#include <iterator>

namespace sightline::attention::cuda::emulator {
namespace {

constexpr Kernel kKernels[] = {
    kernel<AppendArguments, append_rows>("append_rows"),
    kernel<CodeArguments, code_blocks>("code_blocks"),
    kernel<RestoreArguments, restore_blocks>("restore_blocks"),
    kernel<ObserveArguments, observe_blocks>("observe_blocks"),
    kernel<AttendArguments, decode_64>("decode_64"),
    kernel<AttendArguments, decode_80>("decode_80"),
    kernel<AttendArguments, decode_96>("decode_96"),
    kernel<AttendArguments, decode_128>("decode_128"),
    kernel<AttendArguments, decode_256>("decode_256"),
    kernel<AttendArguments, prefill_64>("prefill_64"),
    kernel<AttendArguments, prefill_80>("prefill_80"),
    kernel<AttendArguments, prefill_96>("prefill_96"),
    kernel<AttendArguments, prefill_128>("prefill_128"),
    kernel<AttendArguments, prefill_256>("prefill_256"),
};

}  // namespace

std::span<const Kernel> kernels() { return kKernels; }

const Kernel& kernel_named(std::string_view name) {
  return *std::find_if(std::begin(kKernels), std::end(kKernels),
                       [&](const Kernel& one) { return one.name == name; });
}

}  // namespace sightline::attention::cuda::emulator
