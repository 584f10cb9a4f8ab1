#pragma once
// What can go wrong, as values. Codes are the ones JavaScript sees (sidecar/engine/addon.ts).

#include <string>
#include <utility>
#include <variant>

namespace sightline::runtime {

enum class Code {
  model_not_found,
  model_invalid,
  model_unsupported,
  release_mismatch,
  backend_missing,
  gpu_unavailable,
  gpu_failed,
  context_full,
  cache_exhausted,
  out_of_memory,
  bad_argument,
  aborted,
  closed,
  session_invalid,
  write_failed,
  engine_failed,
};

constexpr const char* name_of(Code code) {
  switch (code) {
    case Code::model_not_found:
      return "MODEL_NOT_FOUND";
    case Code::model_invalid:
      return "MODEL_INVALID";
    case Code::model_unsupported:
      return "MODEL_UNSUPPORTED";
    case Code::release_mismatch:
      return "RELEASE_MISMATCH";
    case Code::backend_missing:
      return "BACKEND_MISSING";
    case Code::gpu_unavailable:
      return "GPU_UNAVAILABLE";
    case Code::gpu_failed:
      return "GPU_FAILED";
    case Code::context_full:
      return "CONTEXT_FULL";
    case Code::cache_exhausted:
      return "CACHE_EXHAUSTED";
    case Code::out_of_memory:
      return "OUT_OF_MEMORY";
    case Code::bad_argument:
      return "BAD_ARGUMENT";
    case Code::aborted:
      return "ABORTED";
    case Code::closed:
      return "CLOSED";
    case Code::session_invalid:
      return "SESSION_INVALID";
    case Code::write_failed:
      return "WRITE_FAILED";
    case Code::engine_failed:
      return "ENGINE_FAILED";
  }
  return "ENGINE_FAILED";
}

/// `message` says what happened and what to do about it.
struct Error {
  Code code;
  std::string message;
};

inline Error cancelled() { return {Code::aborted, "The request was cancelled."}; }

template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}
  Result(Error error) : value_(std::move(error)) {}
  explicit operator bool() const { return value_.index() == 0; }
  T& value() { return std::get<0>(value_); }
  const Error& error() const { return std::get<1>(value_); }

 private:
  std::variant<T, Error> value_;
};

struct Done {};

}  // namespace sightline::runtime
