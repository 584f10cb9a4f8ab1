#include "runtime/llama_log.h"

#include <mutex>

#include "llama.h"

namespace sightline::runtime {
namespace {

thread_local std::string* open_capture = nullptr;

void receive(ggml_log_level level, const char* text, void*) {
  if (level == GGML_LOG_LEVEL_ERROR && open_capture != nullptr) *open_capture += text;
}

}  // namespace

LogCapture::LogCapture() {
  static std::once_flag once;
  std::call_once(once, [] { llama_log_set(receive, nullptr); });
  open_capture = &lines_;
}

LogCapture::~LogCapture() { open_capture = nullptr; }

std::string LogCapture::errors() const {
  std::string line;
  for (const char c : lines_) line += c == '\n' ? ' ' : c;
  while (!line.empty() && line.back() == ' ') line.pop_back();
  return line;
}

}  // namespace sightline::runtime
