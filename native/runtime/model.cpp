#include "runtime/model.h"

#include <algorithm>

#include "runtime/size_text.h"

namespace sightline::runtime {
namespace {

/// A batch of consecutive tokens of sequence 0.
class Batch {
 public:
  explicit Batch(int32_t capacity) : batch_(llama_batch_init(capacity, 0, 1)) {}
  ~Batch() { llama_batch_free(batch_); }
  Batch(const Batch&) = delete;
  Batch& operator=(const Batch&) = delete;

  llama_batch& fill(std::span<const llama_token> tokens, int32_t position, bool all_logits) {
    batch_.n_tokens = static_cast<int32_t>(tokens.size());
    for (int32_t i = 0; i < batch_.n_tokens; i++) {
      batch_.token[i] = tokens[static_cast<size_t>(i)];
      batch_.pos[i] = position + i;
      batch_.n_seq_id[i] = 1;
      batch_.seq_id[i][0] = 0;
      batch_.logits[i] = all_logits || i + 1 == batch_.n_tokens;
    }
    return batch_;
  }

 private:
  llama_batch batch_;
};

}  // namespace

Model::~Model() = default;

Stats Model::stats() const {
  const std::lock_guard lock(stats_mutex_);
  return stats_;
}

void Model::publish() {
  Stats stats;
  stats.context_tokens = info_.context_tokens;
  if (device_ == nullptr) {
    stats.policy = "stock";
  } else {
    stats.policy = cache::name_of(device_->cache().policy().kind);
    stats.account = device_->cache().account();
    stats.passed_bytes = device_->passed_bytes();
    stats.reserved_bytes = device_->pool().reserved();
    stats.budget_bytes = device_->pool().budget();
    stats.shared_bytes = device_->pool().referenced() - device_->pool().used();
    for (const Parked& parked : parked_)
      stats.sequences.push_back({parked.sequence, static_cast<int64_t>(parked.tokens.size()),
                                 parked.cache->account().bytes()});
    stats.biased_layers = biased_layers_;
    stats.check = check_;
  }
  stats.account.tokens = static_cast<int64_t>(tokens_.size());
  stats.sequences.push_back(
      {sequence_, stats.account.tokens, stats.account.bytes() + stats.passed_bytes});
  const std::lock_guard lock(stats_mutex_);
  stats_ = stats;
}

std::vector<llama_token> Model::tokenize(std::string_view text, bool special) const {
  const auto length = static_cast<int32_t>(text.size());
  std::vector<llama_token> tokens(text.size() / 3 + 16);
  const auto fill = [&] {
    return llama_tokenize(vocab_, text.data(), length, tokens.data(),
                          static_cast<int32_t>(tokens.size()), false, special);
  };
  int32_t count = fill();
  if (count < 0) {
    tokens.resize(static_cast<size_t>(-count));
    count = fill();
  }
  tokens.resize(static_cast<size_t>(std::max(count, 0)));
  return tokens;
}

std::string Model::piece(llama_token token) const {
  std::string text(32, '\0');
  int32_t length =
      llama_token_to_piece(vocab_, token, text.data(), static_cast<int32_t>(text.size()), 0, false);
  if (length < 0) {
    text.resize(static_cast<size_t>(-length));
    length = llama_token_to_piece(vocab_, token, text.data(), static_cast<int32_t>(text.size()), 0,
                                  false);
  }
  text.resize(static_cast<size_t>(std::max(length, 0)));
  return text;
}

Result<Done> Model::check_tokens(std::span<const llama_token> tokens) const {
  const bool known = std::all_of(tokens.begin(), tokens.end(), [&](llama_token token) {
    return token >= 0 && token < info_.vocabulary;
  });
  if (!known) {
    return Error{Code::bad_argument,
                 "Tokens must be ids from 0 to " + std::to_string(info_.vocabulary - 1) + "."};
  }
  return Done{};
}

Result<std::string> Model::detokenize(std::span<const llama_token> tokens) const {
  if (const auto checked = check_tokens(tokens); !checked) return checked.error();
  std::string text;
  for (const llama_token token : tokens) text += piece(token);
  return text;
}

Error Model::decode_error(int32_t code) const {
  const auto failure = device_ != nullptr ? device_->failure() : device::Failure::none;
  if (code == 2) return cancelled();
  if (code == 1) return {Code::context_full, "The context has no room for more tokens."};
  // Without a bound it is the system that has no memory left: code -2 below.
  if (failure == device::Failure::cache_exhausted && device_->pool().budget() > 0) {
    return {Code::cache_exhausted, "The KV cache has reached its bound of " +
                                       size_text(device_->pool().budget()) +
                                       ". Use a shorter context, or give the cache more memory."};
  }
  if (failure == device::Failure::gpu_failed && code != -2) {
    return {Code::gpu_failed, "The GPU failed (" + device_->failure_text() +
                                  "). Restart Sightline; if it happens again, update the GPU's "
                                  "driver or set sightline.gpu.use to \"off\"."};
  }
  if (failure == device::Failure::unsupported_operation) {
    return {Code::model_unsupported, "The architecture " + info_.architecture +
                                         " uses its KV cache in a way Sightline does not support. "
                                         "Choose another model."};
  }
  if (code == -2 && site_.gpu) {
    return {Code::out_of_memory, "The GPU " + gpu_text() +
                                     " has no memory left for this step. Close other programs "
                                     "that use it or use a shorter context."};
  }
  if (code == -2) {
    return {Code::out_of_memory,
            "The machine has no memory left for this step. Close other programs or use a shorter "
            "context."};
  }
  return {Code::engine_failed, "llama.cpp failed with code " + std::to_string(code) +
                                   ". Restart Sightline; if it happens again, report the model."};
}

/// The first of these tokens: as many as the cache takes in one step.
std::span<const llama_token> Model::next_batch(std::span<const llama_token> tokens) const {
  size_t count = std::min(kMicroBatch, tokens.size());
  if (device_ != nullptr)
    count = std::min(count, static_cast<size_t>(device_->cache().step_limit()));
  return tokens.first(count);
}

/// One batch that next_batch gives.
Result<Done> Model::decode(std::span<const llama_token> tokens, bool all_logits,
                           const Cancel& cancel) {
  if (cancel.load()) return cancelled();
  Batch batch(static_cast<int32_t>(tokens.size()));
  for (;;) {
    const size_t held = tokens_.size();
    if (profiler_ != nullptr)
      profiler_->profile.begin_step(static_cast<int32_t>(held),
                                    static_cast<int32_t>(tokens.size()));
    cancel_.store(&cancel);
    const int32_t code =
        llama_decode(context_.get(), batch.fill(tokens, static_cast<int32_t>(held), all_logits));
    cancel_.store(nullptr);
    if (device_ != nullptr) device_->end_graph(code == 0);
    if (code == 0) break;
    if (profiler_ != nullptr) profiler_->profile.drop_step();
    settle();
    const bool lacks_memory =
        device_ != nullptr && device_->failure() == device::Failure::cache_exhausted;
    if (!lacks_memory || tokens_.size() != held || !drop_parked()) return decode_error(code);
  }
  if (profiler_ != nullptr) llama_synchronize(context_.get());
  const auto end = device::Profile::Clock::now();
  tokens_.insert(tokens_.end(), tokens.begin(), tokens.end());
  publish();
  if (profiler_ != nullptr) profiler_->profile.end_step(end, stats_.account, stats_.passed_bytes);
  return Done{};
}

Result<device::Recorded> Model::take_profile() {
  if (profiler_ == nullptr)
    return Error{Code::bad_argument, "The model was not loaded to be profiled."};
  return profiler_->profile.take();
}

/// Takes note of the tokens that our cache holds. llama.cpp, which knows them by position only, is
/// told by batches that are not computed. Where that fails the cache is empty.
Result<Done> Model::note_tokens(std::vector<llama_token> tokens) {
  llama_memory_t memory = llama_get_memory(context_.get());
  llama_memory_seq_rm(memory, 0, static_cast<llama_pos>(tokens.size()), -1);
  const auto known = static_cast<size_t>(llama_memory_seq_pos_max(memory, 0) + 1);
  device_->pretend(true);
  int32_t code = 0;
  for (size_t at = known; at < tokens.size() && code == 0; at += kMicroBatch) {
    const auto batch = std::span(tokens).subspan(at, std::min(kMicroBatch, tokens.size() - at));
    Batch noted(static_cast<int32_t>(batch.size()));
    code = llama_decode(context_.get(), noted.fill(batch, static_cast<int32_t>(at), false));
  }
  device_->pretend(false);
  tokens_ = std::move(tokens);
  if (code == 0) return Done{};
  truncate(0);
  return decode_error(code);
}

/// After a step that did not finish: llama.cpp, the cache and we agree again on the tokens held.
void Model::settle() {
  const auto held = static_cast<int32_t>(tokens_.size());
  const int32_t known = llama_memory_seq_pos_max(llama_get_memory(context_.get()), 0) + 1;
  truncate(std::min(held, known));
}

/// After a prefill: what its batches needed besides the cache goes back to the system.
void Model::release_spare() {
  if (device_ == nullptr) return;
  device_->cache().compact();
  publish();
}

int32_t Model::truncate(int32_t tokens, cache::Rollback rollback) {
  llama_memory_t memory = llama_get_memory(context_.get());
  int32_t kept = std::clamp(tokens, 0, static_cast<int32_t>(tokens_.size()));
  const bool owns = device_ != nullptr && device_->owned_layers() > 0;
  if (owns) kept = device_->cache().truncate(kept, rollback);
  bool intact = llama_memory_seq_rm(memory, 0, kept, -1);
  if (const int32_t window = llama_model_n_swa(model_.get()); intact && kept > 0 && window > 0)
    intact = llama_memory_seq_pos_min(memory, 0) <= std::max(0, kept - window);
  if (!intact) {
    kept = 0;
    llama_memory_clear(memory, true);
    if (owns) device_->cache().truncate(0);
  }
  tokens_.resize(static_cast<size_t>(kept));
  publish();
  return kept;
}

void Model::set_budget(size_t bytes) {
  if (device_ == nullptr) return;
  options_.cache_budget_bytes = bytes;
  const bool grows = bytes == 0 || bytes > device_->pool().used();
  if (grows) device_->set_budget(bytes);
  // Where there is no room to code what is held, the next steps try again.
  const auto apply = [&](cache::Sequence& sequence) {
    if (sequence.policy().kind == cache::PolicyKind::automatic)
      static_cast<void>(sequence.set_budget(bytes > 0 ? bytes : default_budget()));
  };
  apply(device_->cache());
  for (const Parked& parked : parked_) apply(*parked.cache);
  {
    const std::lock_guard lock(stats_mutex_);
    policy_.budget = device_->cache().policy().budget;
  }
  device_->set_budget(bytes);
  publish();
}

Result<std::vector<float>> Model::evaluate(std::span<const llama_token> tokens, bool all_logits,
                                           const Cancel& cancel, int32_t sequence) {
  if (tokens.empty()) return Error{Code::bad_argument, "There are no tokens to evaluate."};
  if (const auto checked = check_tokens(tokens); !checked) return checked.error();
  if (const auto used = use(sequence); !used) return used.error();
  if (tokens_.size() + tokens.size() > static_cast<size_t>(info_.context_tokens)) {
    return Error{Code::context_full, "The context holds " + std::to_string(info_.context_tokens) +
                                         " tokens and has no room for " +
                                         std::to_string(tokens.size()) + " more."};
  }
  if (device_ != nullptr) device_->cache().hold(cache::kNoHold);
  const auto vocabulary = static_cast<size_t>(info_.vocabulary);
  std::vector<float> logits;
  logits.reserve(vocabulary * (all_logits ? tokens.size() : 1));
  for (auto rest = tokens; !rest.empty();) {
    const auto batch = next_batch(rest);
    if (const auto decoded = decode(batch, all_logits, cancel); !decoded) return decoded.error();
    rest = rest.subspan(batch.size());
    if (!all_logits && !rest.empty()) continue;
    const float* rows =
        all_logits ? llama_get_logits(context_.get()) : llama_get_logits_ith(context_.get(), -1);
    if (rows == nullptr) return Error{Code::engine_failed, "llama.cpp gave no logits."};
    logits.insert(logits.end(), rows, rows + vocabulary * (all_logits ? batch.size() : 1));
  }
  release_spare();
  return logits;
}

}  // namespace sightline::runtime
