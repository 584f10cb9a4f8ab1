#pragma once
// A ggml backend device, "sightline", that wraps an inner device and owns the KV cache.
//
// llama.cpp allocates its weights, activations and (almost empty) cache tensors here. In every
// graph the device takes the nodes that touch a cache tensor it owns: SET_ROWS appends to our cache
// and FLASH_ATTN_EXT runs our attention; all other nodes are the inner device's. On the CPU ours
// run inside ggml's own graph computation, as GGML_OP_CUSTOM.
//
// A cache tensor is owned when it is a plain FP16 `cache_k_l*` / `cache_v_l*` of the whole
// context's length. Others (sliding windows shorter than the context, recurrent states, quantised
// types) stay the inner device's. Any other operation on an owned tensor fails the graph: a cache
// shift or a state copy is refused, never wrong.

#include <cstdint>
#include <memory>
#include <string_view>

#include "cache/cache.h"
#include "ggml-backend.h"

namespace sightline::device {

struct Options {
  cache::Policy policy;
  size_t budget_bytes;  // of the cache; 0: no bound
  int32_t capacity;     // the context's length in tokens; 0: own no cache tensor
};

/// Why the last graph failed; empty when it did not.
enum class Failure : uint8_t { none, cache_exhausted, unsupported_operation };

/// One model's device. Outlives the model and its context. The graph runs on one thread at a time.
class Device {
 public:
  /// `inner` is ggml's CPU device. Weights may be loaded before `own_cache` is called.
  explicit Device(ggml_backend_dev_t inner);
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;
  ~Device();

  ggml_backend_dev_t handle() const;

  /// Sets up the cache for a context about to be made.
  void own_cache(const Options& options);

  cache::Cache& cache();
  const cache::Pool& pool() const;
  std::string_view kernel_name() const;
  Failure failure() const;
  /// The layers whose cache is ours; complete once the context is made.
  int owned_layers() const;
  /// FP16 bytes of one token in the layers that are ours.
  size_t owned_token_bytes() const;
  /// Bytes of cache tensors that stay with the inner device.
  size_t passed_bytes() const;

  struct Implementation;  // what ggml's C interface points at

 private:
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace sightline::device
