#pragma once
// A ggml backend device, "sightline", that wraps an inner device and owns KV caches.
//
// llama.cpp allocates its weights, activations and cache tensors here; those have addresses that no
// memory is behind. In every graph the device takes the nodes that touch a cache tensor it owns:
// SET_ROWS appends to our cache and FLASH_ATTN_EXT runs our attention; all other nodes are the
// inner device's. On the CPU ours run inside ggml's own graph computation, as GGML_OP_CUSTOM.
//
// Each context has a cache of its own, which lives as long as the buffer of its cache tensors. A
// context's first cache is ours where its tensors are plain FP16 `cache_k_l*` / `cache_v_l*` of one
// stream; others (sliding windows, recurrent states, quantised types) stay the inner device's.
// What else llama.cpp may do with an owned tensor (a cache shift, several sequences, attention that
// is not ours to compute) either fails the graph or gives the cache back as FP16:
// Options::gives_up.

#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <string_view>

#include "attention/cuda/launcher.h"
#include "cache/sequence.h"
#include "device/profile.h"
#include "ggml-backend.h"

namespace sightline::device {

/// A context's first cache, however many tokens it has room for.
inline constexpr int32_t kAnyCapacity = std::numeric_limits<int32_t>::max();

struct Options {
  cache::Policy policy;
  size_t budget_bytes;  // of all caches together; 0: no bound
  int32_t capacity;     // rows of the caches to own; 0: own none
  /// True: the program is not ours. That it has one sequence is checked, and a cache that the
  /// program uses in a way we do not support becomes FP16 in the inner device's memory, with a
  /// warning. False: the graph fails.
  bool gives_up;
};

/// Why the last graph failed; empty when it did not.
enum class Failure : uint8_t {
  none,
  cache_exhausted,
  unsupported_operation,
  tokens_missing,  // attention to tokens that an earlier step wrote over
  gpu_failed,      // the driver refused a call: failure_text() says which
};

/// Outlives the models and contexts on it. Contexts may compute at the same time.
class Device {
 public:
  /// On ggml's CPU device. Weights may be loaded before `own_cache` is called.
  explicit Device(ggml_backend_dev_t cpu);
  /// `inner` is ggml's CUDA device of the GPU chosen; the driver's table and the images outlive
  /// this. With `cpu`, layers may be put there as well, with their cache: see `cpu_handle`. Throws
  /// attention::cuda::DriverError.
  Device(ggml_backend_dev_t inner, const attention::cuda::GpuChoice& gpu,
         ggml_backend_dev_t cpu = nullptr);
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;
  ~Device();

  ggml_backend_dev_t handle() const;
  /// A device for the layers that are to be on the CPU beside a GPU: their cache is ours, all else
  /// of them is as llama.cpp has it on the CPU. Null: none was asked for.
  ggml_backend_dev_t cpu_handle() const;
  ggml_backend_reg_t registry() const;

  /// Sets up the caches of the contexts to be made. To be called once.
  void own_cache(const Options& options);

  /// Gives the caches of all contexts another policy; what they held is dropped. Not while a graph
  /// runs.
  void set_policy(const cache::Policy& policy);

  /// The threads of the cpu_handle's operations, which a graph goes to and fro from; outlive them.
  void use_threadpool(ggml_threadpool_t threadpool);

  /// From here on graphs are computed node by node, and what each takes goes to the profile, which
  /// outlives the contexts. To be called before there are any.
  void profile_to(Profile& profile);
  /// Whether a node of a graph is this device's, whose profile has it.
  bool computes(const ggml_tensor* node) const;

  /// With a cpu_handle, llama.cpp cuts graphs into pieces, and what they did counts as one step: to
  /// be called after each graph, `whole` where it has run to its end.
  void end_graph(bool whole);

  /// While set, graphs succeed without being computed: so that llama.cpp takes note of tokens that
  /// the cache holds already.
  void pretend(bool on);

  /// The cache of the oldest context; an empty one while there is none. Not to be used while a
  /// graph runs.
  cache::Sequence& cache();
  /// Another sequence, empty and with a policy without fault, for `exchange_cache`.
  std::unique_ptr<cache::Sequence> make_cache(const cache::Policy& policy) const;
  /// Puts a sequence of this device in the place of the oldest context's cache, and gives that.
  /// What llama.cpp knows of the tokens held is the caller's to set right. Not while a graph runs;
  /// sequences do not outlive the device.
  std::shared_ptr<cache::Sequence> exchange_cache(std::shared_ptr<cache::Sequence> next);
  const cache::Pool& pool() const;
  /// Of all caches together, from here on; 0: no bound.
  void set_budget(size_t bytes);
  std::string_view kernel_name() const;
  Failure failure() const;
  /// What the driver said, where the last graph failed by it.
  const std::string& failure_text() const;
  /// The GPU's; not on the CPU.
  attention::cuda::GpuMemory gpu_memory() const;
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
