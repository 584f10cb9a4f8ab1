#pragma once
// What the machine has.

#include <cstddef>

namespace sightline::runtime {

/// Physical memory in bytes, or what a container lets this process use of it; 0: unknown.
size_t memory_limit();

/// Threads for a model when nobody says how many: one per core (those that share their execution
/// units count once) but one. ggml's threads wait for each other by spinning, so a single core that
/// the editor is busy on would hold up all of them.
int default_threads();

}  // namespace sightline::runtime
