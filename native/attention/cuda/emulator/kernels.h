#pragma once
// The kernels as functions that the emulator runs for every thread.

#include "attention/cuda/arguments.h"

extern "C" {
void decode_64(const sightline::attention::cuda::AttendArguments& arguments);
void decode_80(const sightline::attention::cuda::AttendArguments& arguments);
void decode_96(const sightline::attention::cuda::AttendArguments& arguments);
void decode_128(const sightline::attention::cuda::AttendArguments& arguments);
void decode_256(const sightline::attention::cuda::AttendArguments& arguments);
}
