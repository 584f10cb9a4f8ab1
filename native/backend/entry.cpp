// The entry point that ggml looks for in a backend library.

#include "backend/registry.h"
#include "ggml-backend-impl.h"

GGML_BACKEND_DL_IMPL(sightline::backend::registry)
