#pragma once
// What body.inl needs, included before a file's target region: nothing shared may be compiled for a
// newer processor than the baseline.

#include "attention/attention.h"
#include "attention/cpu/kernel.h"
#include "attention/format/access.h"
#include "attention/format/format.h"
#include "attention/format/fp8.h"
#include "attention/format/int2.h"
#include "attention/format/int4.h"
#include "attention/format/int8.h"
#include "attention/format/lowrank.h"
#include "attention/format/rotation.h"
#include "attention/half.h"

// GCC keeps an array of vectors in registers only if the loops over it are unrolled early, and
// outermost loops only are where it is told to. Others know by themselves.
#if defined(__GNUC__) && !defined(__clang__)
#define SIGHTLINE_UNROLL _Pragma("GCC unroll 8")
#else
#define SIGHTLINE_UNROLL
#endif
