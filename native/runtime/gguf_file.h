#pragma once
// A model file's header: metadata and where its tensors lie.

#include <memory>
#include <string>

#include "gguf.h"

namespace sightline::runtime {

struct FreeGguf {
  void operator()(gguf_context* context) const { gguf_free(context); }
};
using GgufFile = std::unique_ptr<gguf_context, FreeGguf>;

/// Null where it cannot be read. May throw where the file is damaged.
inline GgufFile open_gguf(const std::string& path) {
  return GgufFile(gguf_init_from_file(path.c_str(), {.no_alloc = true, .ctx = nullptr}));
}

}  // namespace sightline::runtime
