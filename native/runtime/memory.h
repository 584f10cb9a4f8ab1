#pragma once
// What the machine has.

#include <cstddef>

namespace sightline::runtime {

/// Physical memory in bytes, or what a container lets this process use of it; 0: unknown.
size_t memory_limit();

/// Cores, counting those that share their execution units once.
int physical_cores();

}  // namespace sightline::runtime
