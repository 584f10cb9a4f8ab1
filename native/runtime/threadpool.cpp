#include "runtime/threadpool.h"

namespace sightline::runtime {
namespace {

/// The device's library is not linked: it is the one for this processor.
template <typename Function>
Function function_of(ggml_backend_dev_t cpu, const char* name) {
  return reinterpret_cast<Function>(
      ggml_backend_reg_get_proc_address(ggml_backend_dev_backend_reg(cpu), name));
}

}  // namespace

Threadpool::Threadpool(ggml_backend_dev_t cpu, int threads)
    : free_(function_of<decltype(&ggml_threadpool_free)>(cpu, "ggml_threadpool_free")) {
  const auto make = function_of<decltype(&ggml_threadpool_new)>(cpu, "ggml_threadpool_new");
  ggml_threadpool_params parameters = ggml_threadpool_params_default(threads);
  handle_ = make(&parameters);
}

Threadpool::~Threadpool() { free_(handle_); }

}  // namespace sightline::runtime
