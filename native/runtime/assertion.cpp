#include "runtime/assertion.h"

#include <cstdio>
#include <mutex>
#include <stdexcept>

#include "ggml.h"

namespace sightline::runtime {
namespace {

thread_local std::string* open_guard = nullptr;

/// Called by ggml in place of printing; it ends the process when this returns.
void on_failed_assertion(const char* message) {
  if (open_guard == nullptr) {
    std::fprintf(stderr, "%s\n", message);
    return;
  }
  const std::string text(message);
  const size_t condition = text.find(": ");  // after the file and line of llama.cpp's build
  *open_guard = condition == std::string::npos ? text : text.substr(condition + 2);
  throw std::runtime_error(*open_guard);
}

}  // namespace

AssertionGuard::AssertionGuard() {
  static std::once_flag once;
  std::call_once(once, [] { ggml_set_abort_callback(on_failed_assertion); });
  open_guard = &failed_;
}

AssertionGuard::~AssertionGuard() { open_guard = nullptr; }

}  // namespace sightline::runtime
