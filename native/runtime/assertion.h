#pragma once
// llama.cpp checks much of a model file by assertions, which end the process. While a guard is
// open, an assertion that fails on its thread throws instead: llama.cpp unwinds and reports a
// failed load. Once a model runs, a failed assertion is a bug and ends the process as ever.

#include <string>

namespace sightline::runtime {

class AssertionGuard {
 public:
  AssertionGuard();
  ~AssertionGuard();
  AssertionGuard(const AssertionGuard&) = delete;
  AssertionGuard& operator=(const AssertionGuard&) = delete;

  /// The condition that failed; empty: none did.
  const std::string& failed() const { return failed_; }

 private:
  std::string failed_;
};

}  // namespace sightline::runtime
