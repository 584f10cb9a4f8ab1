#pragma once
// The kernels as functions that the emulator runs for every thread.

#include "attention/cuda/append.h"
#include "attention/cuda/arguments.h"
#include "attention/cuda/code.h"

extern "C" {
void append_rows(const sightline::attention::cuda::AppendArguments& arguments);
void code_blocks(const sightline::attention::cuda::CodeArguments& arguments);
void decode_64(const sightline::attention::cuda::AttendArguments& arguments);
void decode_80(const sightline::attention::cuda::AttendArguments& arguments);
void decode_96(const sightline::attention::cuda::AttendArguments& arguments);
void decode_128(const sightline::attention::cuda::AttendArguments& arguments);
void decode_256(const sightline::attention::cuda::AttendArguments& arguments);
}
