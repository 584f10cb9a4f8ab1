#pragma once
// llama.cpp and ggml report through one callback of the process. It keeps a thread's error lines
// while a capture is open on that thread and drops everything else.

#include <string>

namespace sightline::runtime {

class LogCapture {
 public:
  LogCapture();
  ~LogCapture();
  LogCapture(const LogCapture&) = delete;
  LogCapture& operator=(const LogCapture&) = delete;

  /// The error lines so far, as one line.
  std::string errors() const;

 private:
  std::string lines_;
};

}  // namespace sightline::runtime
