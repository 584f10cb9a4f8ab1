// Loading a model: on a GPU or the CPU, its context, its cache, and the checks of both.

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <stdexcept>

#include "attention/format/format.h"
#include "cache/forecast.h"
#include "runtime/assertion.h"
#include "runtime/gguf_check.h"
#include "runtime/key_bias.h"
#include "runtime/libraries.h"
#include "runtime/llama_log.h"
#include "runtime/machine.h"
#include "runtime/model.h"
#include "runtime/raise.h"
#include "runtime/size_text.h"

namespace sightline::runtime {
namespace {

// llama.cpp rounds contexts up to this.
constexpr int32_t kContextGranule = 256;

std::string metadata(const llama_model* model, const std::string& key) {
  std::vector<char> value(256);
  const int32_t length = llama_model_meta_val_str(model, key.c_str(), value.data(), value.size());
  return length < 0 ? std::string() : std::string(value.data());
}

/// What a vocabulary writes for a token; nothing where there is none.
std::string text_of(const llama_vocab* vocab, llama_token token) {
  return token < 0 ? std::string() : std::string(llama_vocab_get_text(vocab, token));
}

/// Of the progress of a load that ends with a check of the cache.
constexpr float kLoadingShare = 0.5f;

/// Whether a load that failed so on a GPU may work on the CPU.
bool is_of_gpu(Code code) {
  return code == Code::gpu_unavailable || code == Code::gpu_failed || code == Code::out_of_memory;
}

struct Loading {
  const Model::Progress& progress;
  const Cancel& cancel;
};

bool on_load_progress(float fraction, void* data) {
  const Loading& loading = *static_cast<const Loading*>(data);
  loading.progress(fraction);
  return !loading.cancel.load();
}

}  // namespace

Result<std::unique_ptr<Model>> Model::load_at(const Site& site, const LoadOptions& options,
                                              const Progress& progress, const Cancel& cancel,
                                              size_t& lacking) {
  std::unique_ptr<Model> model(new Model);
  model->site_ = site;
  const Result<Done> opened = model->open(options, progress, cancel);
  lacking = model->lacking_;
  if (!opened) return opened.error();
  return model;
}

Result<std::unique_ptr<Model>> Model::load(const LoadOptions& options, const Progress& progress,
                                           const Cancel& cancel) {
  size_t lacking = 0;
  const auto load_on_cpu = [&] { return load_at({}, options, progress, cancel, lacking); };
  if (std::holds_alternative<std::monostate>(options.gpu)) return load_on_cpu();
  // ggml's backend for the GPU has to find the libraries of its release.
  if (const auto cpu = cpu_device(options.libraries_path); !cpu) return cpu.error();
  const auto* search = std::get_if<GpuSearch>(&options.gpu);
  Result<GpuDevice> gpu = search != nullptr ? find_gpu(*search) : std::get<GpuDevice>(options.gpu);
  std::string reason;
  if (gpu) {
    Result<std::unique_ptr<Model>> model = load_on_gpu(gpu.value(), options, progress, cancel);
    if (model || options.gpu_required || !is_of_gpu(model.error().code)) return model;
    reason = model.error().message;
  } else {
    if (options.gpu_required) return gpu.error();
    reason = gpu.error().message;
  }
  Result<std::unique_ptr<Model>> model = load_on_cpu();
  if (model) model.value()->info_.gpu_reason = reason;
  return model;
}

Result<Done> Model::open(const LoadOptions& options, const Progress& progress,
                         const Cancel& cancel) {
  const auto started = std::chrono::steady_clock::now();
  if (const auto* policy = std::get_if<cache::Policy>(&options.cache)) {
    if (const auto fault = cache::fault_of(*policy)) return Error{Code::bad_argument, *fault};
  }
  if (const auto* stock = std::get_if<StockCache>(&options.cache)) {
    if (stock->type != GGML_TYPE_F16 && !stock->flash_attention)
      return Error{Code::bad_argument, "A quantised stock cache needs flash attention."};
  }
  options_ = options;
  if (const auto checked = check_gguf(options.model_path); !checked) return checked.error();
  Result<ggml_backend_dev_t> cpu = cpu_device(options.libraries_path);
  if (!cpu) return cpu.error();

  const LogCapture log;
  const AssertionGuard assertions;
  llama_model_params parameters = llama_model_default_params();
  // With a check of the cache behind it, loading is only the first part.
  const bool checks = options.self_check && std::holds_alternative<cache::Policy>(options.cache);
  const float first_part = checks ? kLoadingShare : 1.0f;
  const Progress loading_progress = [&](float fraction) { progress(first_part * fraction); };
  Loading loading{loading_progress, cancel};
  parameters.progress_callback = on_load_progress;
  parameters.progress_callback_user_data = &loading;
  std::vector<ggml_backend_dev_t> devices;
  std::vector<float> split(llama_max_devices());
  if (std::holds_alternative<cache::Policy>(options.cache)) {
    if (const auto opened = open_device(cpu.value()); !opened) return opened.error();
    if (ggml_backend_dev_t beside = device_->cpu_handle()) {
      devices.push_back(beside);
      split[0] = static_cast<float>(site_.cpu_layers);
      split[1] = static_cast<float>(site_.gpu_layers + 1);  // and the output
    }
    devices.push_back(device_->handle());
  } else if (site_.gpu) {
    devices.push_back(site_.gpu->inner);
    parameters.n_gpu_layers = site_.gpu_layers + 1;
  }
  devices.push_back(nullptr);
  parameters.devices = devices.data();
  parameters.tensor_split = split.data();
  try {
    model_.reset(llama_model_load_from_file(options.model_path.c_str(), parameters));
  } catch (const std::runtime_error&) {
    // a failed assertion that llama.cpp did not catch itself
  }
  if (cancel.load()) return Error{Code::aborted, "Loading was cancelled."};
  if (model_ == nullptr && log.errors().find("unknown model architecture") != std::string::npos) {
    return Error{Code::model_unsupported, "llama.cpp " + loaded_release() +
                                              " does not know the architecture of " +
                                              options.model_path + ". Choose another model."};
  }
  if (model_ == nullptr && site_.gpu &&
      log.errors().find("unable to allocate") != std::string::npos) {
    return Error{Code::out_of_memory,
                 "The model does not fit on the GPU " + gpu_text() +
                     ". Choose a smaller model, close other programs that use the GPU, or set "
                     "sightline.gpu.use to \"off\"."};
  }
  if (model_ == nullptr) {
    return invalid_model(assertions.failed().empty() ? log.errors() : assertions.failed());
  }
  if (!llama_model_has_decoder(model_.get()) || llama_model_has_encoder(model_.get()) ||
      llama_model_is_diffusion(model_.get())) {
    return Error{Code::model_unsupported,
                 options.model_path +
                     " does not generate text token by token. Choose a causal language model."};
  }

  if (site_.gpu) {
    if (Result<SeenGpu> seen = see_gpu(site_.gpu->choice)) info_.gpu = seen.value();
    info_.gpu_layers = site_.gpu_layers;
  }
  vocab_ = llama_model_get_vocab(model_.get());
  info_.architecture = metadata(model_.get(), "general.architecture");
  info_.name = metadata(model_.get(), "general.name");
  std::error_code error;
  info_.file_bytes = std::filesystem::file_size(options.model_path, error);
  info_.parameters = llama_model_n_params(model_.get());
  info_.layers = llama_model_n_layer(model_.get());
  info_.vocabulary = llama_vocab_n_tokens(vocab_);
  info_.trained_tokens = llama_model_n_ctx_train(model_.get());
  info_.fim = {llama_vocab_fim_pre(vocab_), llama_vocab_fim_suf(vocab_),
               llama_vocab_fim_mid(vocab_), llama_vocab_fim_pad(vocab_),
               llama_vocab_fim_rep(vocab_), llama_vocab_fim_sep(vocab_)};
  info_.bos = llama_vocab_bos(vocab_);
  info_.add_bos = llama_vocab_get_add_bos(vocab_);
  info_.bos_text = text_of(vocab_, info_.bos);
  info_.eos_text = text_of(vocab_, llama_vocab_eos(vocab_));
  if (const char* chat = llama_model_chat_template(model_.get(), nullptr))
    info_.chat_template = chat;
  info_.context_tokens =
      options.context_tokens == 0 ? info_.trained_tokens : options.context_tokens;
  info_.threads = options.threads == 0 ? default_threads() : options.threads;
  if (info_.context_tokens < 1 || info_.context_tokens > info_.trained_tokens) {
    return Error{Code::bad_argument,
                 "A context of " + std::to_string(info_.context_tokens) +
                     " tokens was asked for, but the model was trained with " +
                     std::to_string(info_.trained_tokens) +
                     ". Set sightline.model.contextTokens to at most that, or to 0."};
  }
  if (const auto opened = open_context(info_.threads); !opened) return opened.error();
  if (const auto warmed = warm_up(cancel); !warmed) return warmed.error();
  if (const auto checked = check_memory(); !checked) return checked.error();
  const Progress check_progress = [&](float fraction) {
    progress(first_part + (1 - first_part) * fraction);
  };
  if (const auto checked = check_cache(check_progress, cancel); !checked) return checked.error();
  step_costs_ = options.step_costs;
  if (profiler_ != nullptr) static_cast<void>(profiler_->profile.take());  // of the checks
  progress(1.0f);
  info_.load_seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  if (device_ != nullptr) {
    policy_ = device_->cache().policy();
    geometries_ = device_->cache().geometries();
  }
  publish();
  return Done{};
}

Result<Done> Model::open_device(ggml_backend_dev_t cpu) {
  if (!site_.gpu) {
    device_ = std::make_unique<device::Device>(cpu);
    return Done{};
  }
  const auto& policy = std::get<cache::Policy>(options_.cache);
  if (policy.kind == cache::PolicyKind::lowrank) {
    return Error{Code::gpu_unavailable, "The cache policy " +
                                            std::string(cache::name_of(policy.kind)) +
                                            " does not run on a GPU. Choose another "
                                            "sightline.cache.policy, or set sightline.gpu.use to "
                                            "\"off\"."};
  }
  try {
    device_ = std::make_unique<device::Device>(site_.gpu->inner, site_.gpu->choice,
                                               site_.cpu_layers > 0 ? cpu : nullptr);
  } catch (const attention::cuda::DriverError& error) {
    return Error{Code::gpu_failed, std::string("The GPU cannot be used: ") + error.what() + "."};
  }
  return Done{};
}

Error Model::invalid_model(const std::string& reason) const {
  return {Code::model_invalid, options_.model_path + " could not be loaded: " + reason +
                                   " Download the model again or choose another one."};
}

Result<Done> Model::open_context(int32_t threads) {
  const LogCapture log;
  const int32_t capacity =
      (info_.context_tokens + kContextGranule - 1) / kContextGranule * kContextGranule;
  llama_context_params parameters = llama_context_default_params();
  parameters.n_ctx = static_cast<uint32_t>(capacity);
  parameters.n_batch = kMicroBatch;
  parameters.n_ubatch = kMicroBatch;
  parameters.n_seq_max = 1;
  parameters.n_threads = threads;
  parameters.n_threads_batch = threads;
  parameters.no_perf = true;
  parameters.swa_full = false;  // sliding windows keep their own, short cache
  parameters.abort_callback = [](void* data) {
    const Cancel* cancel = static_cast<std::atomic<const Cancel*>*>(data)->load();
    return cancel != nullptr && cancel->load();
  };
  parameters.abort_callback_data = &cancel_;

  if (const auto* stock = std::get_if<StockCache>(&options_.cache)) {
    parameters.type_k = stock->type;
    parameters.type_v = stock->type;
    parameters.flash_attn_type =
        stock->flash_attention ? LLAMA_FLASH_ATTN_TYPE_ENABLED : LLAMA_FLASH_ATTN_TYPE_DISABLED;
  } else {
    parameters.type_k = GGML_TYPE_F16;
    parameters.type_v = GGML_TYPE_F16;
    parameters.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_ENABLED;
    auto& policy = std::get<cache::Policy>(options_.cache);
    biased_layers_ = biased_layers(key_bias_norms(options_.model_path));
    policy = with_fine_keys(policy, biased_layers_);
    policy.budget =
        options_.cache_budget_bytes > 0 ? options_.cache_budget_bytes : default_budget();
    device_->own_cache({.policy = policy,
                        .budget_bytes = options_.cache_budget_bytes,
                        .capacity = has_plain_heads() ? capacity : 0,
                        .gives_up = false});
  }

  if (options_.profiling != Profiling::off) profiler_ = std::make_unique<Profiler>(device_.get());
  const bool one_by_one = options_.profiling == Profiling::operations;
  if (one_by_one) {
    parameters.cb_eval = Profiler::on_node;
    parameters.cb_eval_user_data = profiler_.get();
    if (device_ != nullptr) device_->profile_to(profiler_->profile);
  }

  const AssertionGuard assertions;
  try {
    context_.reset(llama_init_from_model(model_.get(), parameters));
  } catch (const std::runtime_error&) {
    // as above
  }
  if (!assertions.failed().empty()) return invalid_model(assertions.failed());
  if (context_ == nullptr) {
    const std::string where = site_.gpu ? " on the GPU " + gpu_text() : "";
    return Error{Code::out_of_memory, "There is not enough memory" + where + " for a context of " +
                                          std::to_string(info_.context_tokens) + " tokens (" +
                                          log.errors() + "). Lower sightline.model.contextTokens."};
  }
  if (device_ != nullptr) {
    info_.owned_layers = device_->owned_layers();
    info_.kernels = device_->kernel_name();
  }
  if (one_by_one || (device_ != nullptr && device_->cpu_handle() != nullptr)) {
    threadpool_.emplace(ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU), threads);
    llama_attach_threadpool(context_.get(), threadpool_->handle(), nullptr);
    if (device_ != nullptr) device_->use_threadpool(threadpool_->handle());
  }
  return Done{};
}

/// Whether keys and values come in heads that our cache can hold: of one size, a multiple of 16.
/// Latent attention keeps one compressed tensor for both.
bool Model::has_plain_heads() const {
  const auto attention = [&](const char* key) {
    return metadata(model_.get(), info_.architecture + ".attention." + key);
  };
  if (!attention("kv_lora_rank").empty()) return false;
  const int32_t heads = std::max(1, llama_model_n_head(model_.get()));
  const std::string usual = std::to_string(llama_model_n_embd(model_.get()) / heads);
  const std::string given[] = {attention("key_length"), attention("value_length")};
  const std::string& keys = given[0].empty() ? usual : given[0];
  const std::string& values = given[1].empty() ? usual : given[1];
  const int head_dim = std::atoi(keys.c_str());
  if (site_.gpu) return keys == values && attention::cuda::Plan::is_possible(head_dim);
  return keys == values && head_dim % 16 == 0;
}

/// Half of what the machine has besides the model's weights.
size_t Model::spare_memory() const {
  const size_t limit = memory_limit();
  return limit > info_.file_bytes ? (limit - info_.file_bytes) / 2 : 0;
}

/// Compares the cache with an FP16 one over a short text, and raises its bits as long as it is too
/// far from it.
Result<Done> Model::check_cache(const Progress& progress, const Cancel& cancel) {
  if (!options_.self_check || device_ == nullptr || info_.owned_layers == 0) return Done{};
  cache::Policy policy = device_->cache().policy();
  const auto asked = coarsest_tier(policy, info_.layers);
  if (!asked || static_cast<size_t>(info_.context_tokens) < kCheckTokens) return Done{};

  const auto vocabulary = static_cast<size_t>(info_.vocabulary);
  auto reference = check_logits(cache::Policy{}, cancel);
  if (!reference) return reference.error();
  progress(0.5f);
  Check check{attention::name_of(*asked), "fp16", 0, kDivergenceBound, 1};
  for (std::optional<cache::Policy> next = policy; next; next = raised(*next, info_.layers)) {
    policy = *next;
    const auto tier = coarsest_tier(policy, info_.layers);
    if (!tier) {
      check = {check.asked, "fp16", 0, kDivergenceBound, 1};
      break;
    }
    auto logits = check_logits(strict(policy), cancel);
    if (!logits) return logits.error();
    const Divergence found = divergence(reference.value(), logits.value(), vocabulary);
    check.tier = attention::name_of(*tier);
    check.divergence = found.mean;
    check.same_top = found.same_top;
    if (found.mean <= kDivergenceBound) break;
  }
  check_ = check;
  set_policy(policy);
  return Done{};
}

/// Logits of the last kComparedTokens of the check's tokens, [rows][vocabulary].
Result<std::vector<float>> Model::check_logits(const cache::Policy& policy, const Cancel& cancel) {
  set_policy(policy);
  std::vector<llama_token> text = tokenize(check_text(), false);
  std::vector<llama_token> tokens;
  while (tokens.size() < kCheckTokens) tokens.insert(tokens.end(), text.begin(), text.end());
  tokens.resize(kCheckTokens);
  const std::span<const llama_token> all = tokens;
  const size_t compared = kCheckTokens - kComparedTokens;
  if (const auto first = evaluate(all.first(compared), false, cancel); !first) return first.error();
  return evaluate(all.subspan(compared), true, cancel);
}

/// Another policy for an empty cache.
void Model::set_policy(const cache::Policy& policy) {
  llama_memory_clear(llama_get_memory(context_.get()), true);
  tokens_.clear();
  device_->set_policy(policy);
}

/// The cache grows with its tokens; whether the full context would fit is told at once, and whether
/// a budget that is to be kept has room for what always stays FP16.
Result<Done> Model::check_memory() {
  if (device_ == nullptr) return Done{};
  const size_t limit = memory_limit();
  const cache::Sequence& sequence = device_->cache();
  const size_t step = kMicroBatch * device_->owned_token_bytes();
  const cache::Policy& policy = sequence.policy();
  if (policy.kind == cache::PolicyKind::automatic && options_.cache_budget_bytes > 0) {
    const int32_t uncoded = std::min(info_.context_tokens, policy.sink + policy.window);
    const size_t least = cache::forecast_bytes({}, sequence.geometries(), uncoded) + step;
    if (least > options_.cache_budget_bytes)
      return Error{Code::cache_exhausted,
                   "A budget of " + size_text(options_.cache_budget_bytes) +
                       " is too little for the cache's window of " + std::to_string(policy.window) +
                       " tokens: it takes " + size_text(least) +
                       ". Raise sightline.cache.budgetMiB or lower sightline.cache.window."};
  }
  size_t bytes =
      cache::forecast_bytes(sequence.policy(), sequence.geometries(), info_.context_tokens) + step;
  if (options_.cache_budget_bytes > 0) bytes = std::min(bytes, options_.cache_budget_bytes);
  if (site_.gpu) {
    const auto there = static_cast<size_t>(static_cast<double>(bytes) * gpu_share());
    if (const auto checked = check_gpu_memory(there); !checked) return checked.error();
    if (site_.cpu_layers == 0) return Done{};
    bytes -= there;
  }
  size_t weights = info_.file_bytes;
  if (site_.gpu)
    weights = weights * static_cast<size_t>(site_.cpu_layers) / static_cast<size_t>(info_.layers);
  const size_t needed = bytes + device_->passed_bytes() + weights;
  if (limit == 0 || needed <= limit) return Done{};
  return Error{Code::out_of_memory,
               "A context of " + std::to_string(info_.context_tokens) + " tokens needs " +
                   size_text(needed) + " with the model's weights, and this machine has " +
                   size_text(limit) + ". Lower sightline.model.contextTokens."};
}

}  // namespace sightline::runtime
