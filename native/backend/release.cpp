#include "backend/release.h"

namespace sightline::backend {

const char* built_release() { return SIGHTLINE_GGML_RELEASE; }

}  // namespace sightline::backend
