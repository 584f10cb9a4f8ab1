#pragma once
// One model with one context. Used from one thread at a time; only `stats` and `forecast` may be
// called from any.
//
// It has as many sequences as are asked for, by number: one is in the context, the others are
// parked, with their caches. Where memory lacks for the one in use, parked ones are dropped, the
// one used longest ago first. A model with layers that keep llama.cpp's own cache has one sequence,
// whatever number is asked for.

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "cache/sequence.h"
#include "device/device.h"
#include "llama.h"
#include "runtime/error.h"
#include "runtime/gpu.h"
#include "runtime/profiler.h"
#include "runtime/prompt_lookup.h"
#include "runtime/self_check.h"
#include "runtime/threadpool.h"

namespace sightline::runtime {

/// The sequence of those who ask for none.
inline constexpr int32_t kFirstSequence = 0;

/// Set from another thread to end a call within one decode step or one node of a graph.
using Cancel = std::atomic<bool>;
/// Set from another thread to end a completion, within one decode step, with what there is.
using Finish = std::atomic<bool>;
inline const Finish kNotEarly{false};

/// llama.cpp's own cache, for comparison in tests and benchmarks.
struct StockCache {
  ggml_type type;
  bool flash_attention;
};

/// What is kept of every step, for Model::take_profile.
enum class Profiling : uint8_t {
  off,
  steps,       // what it took, and the cache afterwards
  operations,  // besides, each of its operations: they run one by one, which takes longer
};

struct LoadOptions {
  std::string model_path;
  std::string libraries_path;
  /// Where the model runs: on this GPU, or on one that is to be searched for.
  std::variant<std::monostate, GpuSearch, GpuDevice> gpu;
  bool gpu_required = false;   // else the CPU where it cannot be, see Info::gpu_reason
  int32_t gpu_layers = 0;      // of the model, on the GPU; 0: as many as fit
  int32_t context_tokens = 0;  // 0: as trained
  int32_t threads = 0;         // 0: all physical cores but one
  size_t cache_budget_bytes = 0;
  std::variant<cache::Policy, StockCache> cache;
  bool self_check = false;
  Profiling profiling = Profiling::off;
  std::optional<StepCosts> step_costs;  // none: measured when a cache is filled
};

struct FimTokens {
  llama_token prefix, suffix, middle, pad, repository, separator;  // -1: none
};

struct Info {
  std::string architecture;
  std::string name;
  uint64_t file_bytes = 0;
  uint64_t parameters = 0;
  int32_t layers = 0;
  int32_t vocabulary = 0;
  int32_t trained_tokens = 0;
  int32_t context_tokens = 0;
  FimTokens fim{};
  llama_token bos = -1;
  bool add_bos = false;
  std::string bos_text, eos_text;
  std::string chat_template;  // Jinja; empty: the GGUF has none
  int32_t owned_layers = 0;
  int32_t threads = 0;
  std::string kernels;
  std::optional<SeenGpu> gpu;  // that the model is on
  int32_t gpu_layers = 0;      // so many of its layers
  std::string gpu_reason;      // why a GPU that was asked for is not used
  double load_seconds = 0;
};

struct SequenceStats {
  int32_t sequence;
  int64_t tokens;
  size_t bytes;
};

struct Stats {
  std::string policy;
  int32_t context_tokens = 0;
  std::vector<SequenceStats> sequences;  // all, the one in the context last
  size_t shared_bytes = 0;               // of their bytes, counted more than once
  size_t budget_bytes = 0;
  cache::Account account;
  size_t passed_bytes = 0;    // cache tensors that stay with the inner device
  size_t reserved_bytes = 0;  // of the pool
  std::vector<int32_t> biased_layers;
  std::optional<Check> check;
};

/// How the predictions of two sequences with the same tokens differ, token by token.
struct Comparison {
  std::vector<float> divergences;       // KL(reference || other) in nats
  std::vector<float> losses;            // -log p of the token that follows, in nats
  std::vector<float> reference_losses;  // the same of the reference
  int32_t same_top = 0;                 // tokens after which both find the same one the likeliest
};

/// What a sequence takes with a policy, see cache::forecast_bytes.
struct Forecast {
  std::string policy;
  std::vector<size_t> bytes;  // for each length asked for
};

/// A sequence on disk.
struct Session {
  int32_t tokens;
  size_t bytes;  // of its cache
};

struct Sampling {
  float temperature;  // 0: greedy
  int32_t top_k;
  float top_p;
  float min_p;
  uint32_t seed;
};

struct CompleteRequest {
  std::vector<llama_token> tokens;
  int32_t max_tokens;  // 0: the cache is to hold the prompt, and that is all
  Sampling sampling;
  std::vector<llama_token> stop_tokens;
  /// Tokens at the start that later prompts have as well: going back to there, or to anything
  /// behind it, evaluates nothing again. 0: all of them.
  int32_t shared_tokens = 0;
  /// Whether tokens may be drafted and verified several in a step: the same tokens, sooner.
  bool speculate = true;
  /// Where another sequence has more of the prompt's start, by a block, that is shared.
  int32_t sequence = kFirstSequence;
};

/// What a running completion reports.
struct CompleteListener {
  std::function<void(int32_t done, int32_t total)> on_prefill;
  std::function<void(std::string_view text)> on_text;  // whole UTF-8 characters
};

struct Completion {
  enum class Finish { end, length, context, stopped };
  std::string text;
  std::vector<llama_token> tokens;
  Finish finish;
  int32_t reused_tokens;
  int32_t prefilled_tokens;
  int32_t drafted_tokens;
  int32_t accepted_tokens;  // of those drafted
  double prefill_seconds;
  double decode_seconds;
};

class Model {
 public:
  using Progress = std::function<void(float fraction)>;

  /// The most tokens of one prefill step; cancelling takes effect between two nodes of its graph.
  static constexpr size_t kMicroBatch = 512;

  static Result<std::unique_ptr<Model>> load(const LoadOptions& options, const Progress& progress,
                                             const Cancel& cancel);
  ~Model();

  const Info& info() const { return info_; }
  Stats stats() const;

  /// `special`: markers in the text become their tokens. Adds no token at the start.
  std::vector<llama_token> tokenize(std::string_view text, bool special) const;
  Result<std::string> detokenize(std::span<const llama_token> tokens) const;

  /// Evaluates the part of the prompt that the cache does not hold, then generates. Where `finish`
  /// is set before that, the prompt is evaluated to its end and no token is generated.
  Result<Completion> complete(const CompleteRequest& request, const CompleteListener& listener,
                              const Cancel& cancel, const Finish& finish = kNotEarly);

  /// Appends tokens; gives logits [rows][vocabulary] of every token or of the last one.
  Result<std::vector<float>> evaluate(std::span<const llama_token> tokens, bool all_logits,
                                      const Cancel& cancel, int32_t sequence = kFirstSequence);

  /// Appends the same tokens to two sequences; next[i] is the token that follows tokens[i]. The
  /// logits of one call are held twice: [tokens][vocabulary].
  Result<Comparison> compare(std::span<const llama_token> tokens, std::span<const llama_token> next,
                             int32_t sequence, int32_t reference, const Cancel& cancel);

  /// Empties a sequence; from here on it has this policy, and is shared with no other.
  Result<Done> begin_sequence(int32_t sequence, const cache::Policy& policy);
  /// Frees what a sequence holds. It has the model's policy when it is used again.
  void drop_sequence(int32_t sequence);

  /// What sequences of these lengths take: with policies `full`, `selective`, `compressed`, and the
  /// one in use if it is another. Nothing where the cache is llama.cpp's own.
  std::vector<Forecast> forecast(std::span<const int32_t> lengths) const;

  /// What was recorded since the last call, or since loading; steps that did not run to their end
  /// are left out.
  Result<device::Recorded> take_profile();

  /// Puts a sequence in the context; an empty one where it is new.
  Result<Done> use(int32_t sequence);

  /// Of the sequence in the context, keeps at most the first `tokens` tokens and returns how many
  /// are left. Fewer where the cut
  /// falls inside a coded block, or where a layer has already let go of what it would need
  /// (sliding windows, recurrent layers: then 0).
  /// `reopen` decodes what is left of the block instead.
  int32_t truncate(int32_t tokens, cache::Rollback rollback = cache::Rollback::exact);

  /// The most bytes of the cache from here on; 0: no bound. What is held above it stays until it is
  /// cut, and no step fits before that; `automatic` codes as much as it can at once.
  void set_budget(size_t bytes);

  /// Writes the tokens and the cache to a file, whole or not at all.
  Result<Session> save_session(const std::string& path);
  /// Takes a file over in place of what the cache holds. Where that fails the cache is empty.
  Result<Session> restore_session(const std::string& path);

 private:
  Model() = default;
  /// Where a model is put: on the CPU, or so many of its layers, the last ones, on a GPU.
  struct Site {
    std::optional<GpuDevice> gpu;
    int32_t gpu_layers = 0;
    int32_t cpu_layers = 0;
  };
  /// `lacking`: bytes by which the GPU was too small for the cache, where that is known.
  static Result<std::unique_ptr<Model>> load_at(const Site& site, const LoadOptions& options,
                                                const Progress& progress, const Cancel& cancel,
                                                size_t& lacking);
  static Result<std::unique_ptr<Model>> load_on_gpu(const GpuDevice& gpu,
                                                    const LoadOptions& options,
                                                    const Progress& progress, const Cancel& cancel);
  Result<Done> open(const LoadOptions& options, const Progress& progress, const Cancel& cancel);
  Result<Done> open_device(ggml_backend_dev_t cpu);
  Result<Done> open_context(int32_t threads);
  Result<Done> warm_up(const Cancel& cancel);
  bool has_plain_heads() const;
  size_t spare_memory() const;
  size_t spare_gpu_memory() const;
  double gpu_share() const;
  size_t default_budget() const;
  std::string gpu_text() const;
  void set_policy(const cache::Policy& policy);
  Error invalid_model(const std::string& reason) const;
  Result<Done> check_memory();
  Result<Done> check_gpu_memory(size_t bytes);
  Result<Done> check_cache(const Progress& progress, const Cancel& cancel);
  Result<std::vector<float>> check_logits(const cache::Policy& policy, const Cancel& cancel);
  Result<Done> check_sessions() const;
  Result<Done> check_tokens(std::span<const llama_token> tokens) const;
  std::span<const llama_token> next_batch(std::span<const llama_token> tokens) const;
  Result<Done> decode(std::span<const llama_token> tokens, bool all_logits, const Cancel& cancel);
  size_t revocable_step() const;
  Result<Done> measure_steps(std::span<const llama_token> text, const Cancel& cancel);
  /// A sequence that is not in the context, or is about to be.
  struct Parked {
    int32_t sequence;
    bool is_own;  // has a policy of its own
    std::shared_ptr<cache::Sequence> cache;
    std::vector<llama_token> tokens;
  };
  std::vector<Parked>::iterator find_parked(int32_t sequence);
  Result<Done> use(int32_t sequence, std::span<const llama_token> prompt);
  Result<Done> enter(Parked next);
  bool drop_parked();
  Result<Done> note_tokens(std::vector<llama_token> tokens);
  Error decode_error(int32_t code) const;
  void settle();
  void release_spare();
  void publish();
  std::string piece(llama_token token) const;

  template <auto Function>
  struct Free {
    template <typename T>
    void operator()(T* pointer) const {
      Function(pointer);
    }
  };

  Info info_;
  LoadOptions options_;
  Site site_;
  size_t lacking_ = 0;  // of the GPU's memory
  // Destroyed from the last to the first: contexts, model, device, threads, profile.
  std::unique_ptr<Profiler> profiler_;
  std::optional<Threadpool> threadpool_;    // where graphs are computed in pieces
  std::unique_ptr<device::Device> device_;  // null: stock cache
  std::unique_ptr<llama_model, Free<llama_model_free>> model_;
  std::unique_ptr<llama_context, Free<llama_free>> context_;
  const llama_vocab* vocab_ = nullptr;
  int32_t sequence_ = kFirstSequence;  // in the context
  bool is_own_ = false;                // it has a policy of its own
  std::vector<llama_token> tokens_;    // that it holds
  std::vector<Parked> parked_;         // the one used longest ago first
  std::atomic<const Cancel*> cancel_{nullptr};

  std::vector<int32_t> biased_layers_;
  std::optional<Check> check_;
  std::optional<StepCosts> step_costs_;

  mutable std::mutex stats_mutex_;
  Stats stats_;
  // For `forecast`: set when the model is loaded.
  cache::Policy policy_;
  std::vector<cache::Geometry> geometries_;
};

}  // namespace sightline::runtime
