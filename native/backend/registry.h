#pragma once
// Sightline's device for the program that this library was loaded into.

#include "ggml-backend.h"

namespace sightline::backend {

/// The backend's one registry, the same at every call. Null, with a line in ggml's log that says
/// why, where the program runs another release of llama.cpp, has no CPU backend yet, or the
/// environment asks for something that does not exist: the program then runs without Sightline.
ggml_backend_reg_t registry() noexcept;

}  // namespace sightline::backend
