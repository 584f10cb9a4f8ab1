#pragma once
// The kernels as the emulator has them.

#include <span>

#include "attention/cuda/emulator/driver.h"
#include "attention/cuda/kernels/append.h"
#include "attention/cuda/kernels/arguments.h"
#include "attention/cuda/kernels/code.h"
#include "attention/cuda/kernels/observe.h"
#include "attention/cuda/kernels/restore.h"

extern "C" {
void append_rows(const sightline::attention::cuda::AppendArguments& arguments);
void code_blocks(const sightline::attention::cuda::CodeArguments& arguments);
void restore_blocks(const sightline::attention::cuda::RestoreArguments& arguments);
void observe_blocks(const sightline::attention::cuda::ObserveArguments& arguments);
void decode_64(const sightline::attention::cuda::AttendArguments& arguments);
void decode_80(const sightline::attention::cuda::AttendArguments& arguments);
void decode_96(const sightline::attention::cuda::AttendArguments& arguments);
void decode_128(const sightline::attention::cuda::AttendArguments& arguments);
void decode_256(const sightline::attention::cuda::AttendArguments& arguments);
void prefill_64(const sightline::attention::cuda::AttendArguments& arguments);
void prefill_80(const sightline::attention::cuda::AttendArguments& arguments);
void prefill_96(const sightline::attention::cuda::AttendArguments& arguments);
void prefill_128(const sightline::attention::cuda::AttendArguments& arguments);
void prefill_256(const sightline::attention::cuda::AttendArguments& arguments);
}

namespace sightline::attention::cuda::emulator {

/// A row for `run`.
template <typename Arguments, void (*run)(const Arguments&)>
constexpr Kernel kernel(std::string_view name) {
  return {name, sizeof(Arguments),
          [](const void* arguments) { run(*static_cast<const Arguments*>(arguments)); }};
}

/// All of them: what a module has.
std::span<const Kernel> kernels();

/// The one of that name, which there is.
const Kernel& kernel_named(std::string_view name);

}  // namespace sightline::attention::cuda::emulator
