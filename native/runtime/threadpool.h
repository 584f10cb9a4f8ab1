#pragma once
// Threads of ggml's CPU device that stay from graph to graph. Without, it starts some for each one,
// which is too slow where a model's graphs go to and fro between a GPU and the CPU.

#include "ggml-backend.h"
#include "ggml-cpu.h"

namespace sightline::runtime {

class Threadpool {
 public:
  Threadpool(ggml_backend_dev_t cpu, int threads);
  Threadpool(const Threadpool&) = delete;
  Threadpool& operator=(const Threadpool&) = delete;
  ~Threadpool();

  ggml_threadpool_t handle() const { return handle_; }

 private:
  decltype(&ggml_threadpool_free) free_;
  ggml_threadpool_t handle_;
};

}  // namespace sightline::runtime
