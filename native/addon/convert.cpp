#include "convert.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "attention/format/format.h"

namespace sightline::addon {
namespace {

using runtime::Code;
using runtime::Error;
using runtime::Result;

constexpr int32_t kMostThreads = 512;  // ggml's GGML_MAX_N_THREADS

/// Reads fields of a JavaScript object and remembers the first that is not as it should be.
class Reader {
 public:
  explicit Reader(const Napi::Value& value) {
    if (value.IsObject() && !value.IsNull()) {
      object_ = value.As<Napi::Object>();
    } else {
      fail("options", "an object");
    }
  }

  const std::string& wrong() const { return wrong_; }
  Error error() const { return {Code::bad_argument, wrong_}; }

  std::string text(const char* name) {
    const Napi::Value value = get(name);
    if (value.IsEmpty() || !value.IsString()) return fail(name, "a string"), std::string();
    return value.As<Napi::String>().Utf8Value();
  }

  double number(const char* name, double low, double high) {
    const Napi::Value value = get(name);
    const double number =
        !value.IsEmpty() && value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : NAN;
    if (number >= low && number <= high) return number;
    fail(name, "a number in range");
    return low;
  }

  int32_t count(const char* name, int32_t most = std::numeric_limits<int32_t>::max()) {
    const double value = number(name, 0, most);
    if (value != std::floor(value)) fail(name, "a whole number");
    return static_cast<int32_t>(value);
  }

  bool flag(const char* name) {
    const Napi::Value value = get(name);
    if (value.IsEmpty() || !value.IsBoolean()) return fail(name, "true or false"), false;
    return value.As<Napi::Boolean>().Value();
  }

  std::vector<llama_token> tokens(const char* name) {
    Result<std::vector<llama_token>> tokens = to_tokens(get(name));
    if (!tokens) return fail(name, "an Int32Array"), std::vector<llama_token>();
    return std::move(tokens.value());
  }

  Napi::Value get(const char* name) {
    return object_.IsEmpty() ? Napi::Value() : object_.Get(name);
  }

  bool has(const char* name) {
    const Napi::Value value = get(name);
    return !value.IsEmpty() && !value.IsUndefined();
  }

  void fail(const char* name, const char* expected) {
    if (wrong_.empty()) wrong_ = std::string(name) + " must be " + expected + ".";
  }

 private:
  Napi::Object object_;
  std::string wrong_;
};

/// A pair of formats: a tier's name, or an object with `k` and `v`.
attention::Tier to_tier(Reader& reader, const Napi::Value& value) {
  constexpr const char* kExpected =
      "fp16, fp8, int8, k8v4, int4 or k4v2, or an object with k and v: fp16, fp8, int8, int4, int2";
  if (value.IsString()) {
    const auto tier = attention::tier_named(value.As<Napi::String>().Utf8Value());
    if (!tier) reader.fail("cache.tier", kExpected);
    return tier.value_or(attention::Tier{});
  }
  Reader pair(value);
  const auto k = attention::format_named(pair.text("k"));
  const auto v = attention::format_named(pair.text("v"));
  if (!pair.wrong().empty() || !k || !v) reader.fail("cache.tier", kExpected);
  return {k.value_or(attention::Format::fp16), v.value_or(attention::Format::fp16)};
}

cache::LayerFormats to_layer_formats(Reader& reader, const Napi::Value& value) {
  Reader layer(value);
  cache::LayerFormats formats{layer.count("layer"), {}, {}};
  const auto format = [&](const char* name) -> std::optional<attention::Format> {
    if (!layer.has(name)) return std::nullopt;
    const auto named = attention::format_named(layer.text(name));
    if (!named) layer.fail("cache.layers", "formats fp16, fp8, int8, int4 or int2");
    return named;
  };
  formats.k = format("k");
  formats.v = format("v");
  if (!layer.wrong().empty()) reader.fail("cache.layers", "a list of { layer, k, v }");
  return formats;
}

Result<runtime::GpuSearch> to_gpu_search(const Napi::Value& value) {
  Reader reader(value);
  runtime::GpuSearch search;
  const auto each = [&](const char* name, const auto& take) {
    const Napi::Value list = reader.get(name);
    if (list.IsEmpty() || !list.IsArray()) return reader.fail(name, "a list");
    const auto array = list.As<Napi::Array>();
    for (uint32_t i = 0; i < array.Length(); i++) take(array.Get(i));
  };
  each("backends", [&](const Napi::Value& item) {
    Reader backend(item);
    search.backends.push_back({backend.text("path"), backend.count("cudaVersion")});
    if (!backend.wrong().empty()) reader.fail("gpu.backends", "a list of { path, cudaVersion }");
  });
  each("toolkitFolders", [&](const Napi::Value& item) {
    if (!item.IsString()) return reader.fail("gpu.toolkitFolders", "a list of paths");
    search.toolkit_folders.push_back(item.As<Napi::String>().Utf8Value());
  });
  if (!reader.wrong().empty()) return reader.error();
  return search;
}

Result<cache::Policy> to_policy(Reader& reader, const std::string& name) {
  const auto kind = cache::policy_named(name);
  if (!kind)
    return Error{Code::bad_argument,
                 "cache.policy must be full, selective, hierarchical, compressed, auto, lowrank, "
                 "h2o, attention, importance or stock."};
  cache::Policy policy;
  policy.kind = *kind;
  const auto fraction = [&](const char* field, float& target) {
    if (reader.has(field)) target = static_cast<float>(reader.number(field, 0, 1));
  };
  const auto count = [&](const char* field, int32_t& target) {
    if (reader.has(field)) target = reader.count(field);
  };
  if (reader.has("tier")) policy.tier = to_tier(reader, reader.get("tier"));
  count("sink", policy.sink);
  policy.window = cache::default_window(policy);
  count("window", policy.window);
  policy.span = std::max(policy.span, policy.window);
  count("span", policy.span);
  fraction("keep", policy.keep);
  fraction("threshold", policy.threshold);
  count("rank", policy.rank);
  fraction("energy", policy.energy);
  if (reader.has("weights")) {
    Reader weights(reader.get("weights"));
    policy.weights = {static_cast<float>(weights.number("attention", 0, 1)),
                      static_cast<float>(weights.number("recency", 0, 1)),
                      static_cast<float>(weights.number("kind", 0, 1))};
    if (!weights.wrong().empty()) return weights.error();
  }
  if (reader.has("layers")) {
    const Napi::Value list = reader.get("layers");
    if (!list.IsArray()) reader.fail("cache.layers", "a list of { layer, k, v }");
    const auto array = list.IsArray() ? list.As<Napi::Array>() : Napi::Array::New(list.Env());
    for (uint32_t i = 0; i < array.Length(); i++)
      policy.layers.push_back(to_layer_formats(reader, array.Get(i)));
  }
  if (policy.kind == cache::PolicyKind::full) policy.sink = policy.window = 0;
  if (!reader.wrong().empty()) return reader.error();
  if (const auto fault = cache::fault_of(policy)) return Error{Code::bad_argument, *fault};
  return policy;
}

}  // namespace

Result<runtime::LoadOptions> to_load_options(const Napi::Value& value) {
  Reader reader(value);
  runtime::LoadOptions options;
  options.model_path = reader.text("modelPath");
  options.libraries_path = reader.text("librariesPath");
  options.context_tokens = reader.count("contextTokens");
  options.threads = reader.count("threads", kMostThreads);
  options.cache_budget_bytes = static_cast<size_t>(reader.number("cacheBudgetBytes", 0, 0x1p53));
  options.self_check = reader.flag("selfCheck");
  if (reader.has("profile")) {
    const std::string what = reader.text("profile");
    if (what != "steps" && what != "operations") reader.fail("profile", "steps or operations");
    options.profiling =
        what == "steps" ? runtime::Profiling::steps : runtime::Profiling::operations;
  }
  if (reader.has("gpu")) {
    Reader gpu(reader.get("gpu"));
    options.gpu_required = gpu.flag("required");
    options.gpu_layers = gpu.count("layers");
    if (!gpu.wrong().empty()) return gpu.error();
    Result<runtime::GpuSearch> search = to_gpu_search(reader.get("gpu"));
    if (!search) return search.error();
    options.gpu = std::move(search.value());
  }
  if (!reader.wrong().empty()) return reader.error();

  Reader cache(reader.get("cache"));
  const std::string policy = cache.text("policy");
  if (!cache.wrong().empty()) return cache.error();
  if (policy == "stock") {
    const std::string type = cache.text("type");
    options.cache = runtime::StockCache{type == "q8_0"   ? GGML_TYPE_Q8_0
                                        : type == "q4_0" ? GGML_TYPE_Q4_0
                                                         : GGML_TYPE_F16,
                                        cache.flag("flashAttention")};
    if (type != "f16" && type != "q8_0" && type != "q4_0")
      cache.fail("cache.type", "f16, q8_0 or q4_0");
    if (!cache.wrong().empty()) return cache.error();
    return options;
  }
  Result<cache::Policy> own = to_policy(cache, policy);
  if (!own) return own.error();
  options.cache = std::move(own.value());
  return options;
}

Result<cache::Policy> to_cache_policy(const Napi::Value& value) {
  Reader reader(value);
  const std::string name = reader.text("policy");
  if (!reader.wrong().empty()) return reader.error();
  return to_policy(reader, name);
}

Result<runtime::CompleteRequest> to_complete_request(const Napi::Value& value) {
  Reader reader(value);
  runtime::CompleteRequest request;
  request.tokens = reader.tokens("tokens");
  if (reader.has("sequence")) request.sequence = reader.count("sequence");
  request.max_tokens = reader.count("maxTokens");
  request.stop_tokens = reader.tokens("stopTokens");
  if (reader.has("speculate")) request.speculate = reader.flag("speculate");
  if (reader.has("sharedTokens")) request.shared_tokens = reader.count("sharedTokens");
  if (!reader.wrong().empty()) return reader.error();
  Reader sampling(reader.get("sampling"));
  request.sampling.temperature = static_cast<float>(sampling.number("temperature", 0, 100));
  request.sampling.top_k = sampling.count("topK");
  request.sampling.top_p = static_cast<float>(sampling.number("topP", 0, 1));
  request.sampling.min_p = static_cast<float>(sampling.number("minP", 0, 1));
  request.sampling.seed = static_cast<uint32_t>(sampling.number("seed", 0, 0xffffffffu));
  if (!sampling.wrong().empty()) return sampling.error();
  return request;
}

Result<std::vector<llama_token>> to_tokens(const Napi::Value& value) {
  const bool typed = !value.IsEmpty() && value.IsTypedArray() &&
                     value.As<Napi::TypedArray>().TypedArrayType() == napi_int32_array;
  if (!typed) return Error{Code::bad_argument, "Tokens must be an Int32Array."};
  const auto array = value.As<Napi::Int32Array>();
  return std::vector<llama_token>(array.Data(), array.Data() + array.ElementLength());
}

namespace {

template <typename T>
Result<T> to_whole(const Napi::Value& value, const char* what, double most) {
  const double number = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : NAN;
  if (number >= 0 && number <= most && number == std::floor(number)) return static_cast<T>(number);
  return Error{Code::bad_argument, std::string(what) + " must be a whole number from 0 on."};
}

}  // namespace

Result<int32_t> to_count(const Napi::Value& value, const char* what) {
  return to_whole<int32_t>(value, what, std::numeric_limits<int32_t>::max());
}

Result<size_t> to_bytes(const Napi::Value& value, const char* what) {
  return to_whole<size_t>(value, what, 0x1p53);
}

Napi::Value to_js(Napi::Env env, const runtime::SeenGpu& gpu) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("name", gpu.info.name);
  const auto version = [](int number, int base) {  // of two parts
    return std::to_string(number / base) + "." + std::to_string(number % base * 10 / base);
  };
  object.Set("capability", version(gpu.info.capability, 10));
  object.Set("cuda", version(gpu.info.driver_version, 1000));
  object.Set("totalBytes", static_cast<double>(gpu.memory.total));
  object.Set("freeBytes", static_cast<double>(gpu.memory.free));
  object.Set("compilesKernels", gpu.compiles_kernels);
  return object;
}

Napi::Value to_js(Napi::Env env, const runtime::Info& info) {
  Napi::Object fim = Napi::Object::New(env);
  fim.Set("prefix", info.fim.prefix);
  fim.Set("suffix", info.fim.suffix);
  fim.Set("middle", info.fim.middle);
  fim.Set("pad", info.fim.pad);
  fim.Set("repository", info.fim.repository);
  fim.Set("separator", info.fim.separator);

  Napi::Object object = Napi::Object::New(env);
  object.Set("architecture", info.architecture);
  object.Set("name", info.name);
  object.Set("fileBytes", static_cast<double>(info.file_bytes));
  object.Set("parameters", static_cast<double>(info.parameters));
  object.Set("layers", info.layers);
  object.Set("vocabulary", info.vocabulary);
  object.Set("trainedTokens", info.trained_tokens);
  object.Set("contextTokens", info.context_tokens);
  object.Set("fim", fim);
  object.Set("bosText", info.bos_text);
  object.Set("eosText", info.eos_text);
  if (!info.chat_template.empty()) object.Set("chatTemplate", info.chat_template);
  object.Set("bos", info.bos);
  object.Set("addBos", info.add_bos);
  object.Set("ownedLayers", info.owned_layers);
  object.Set("threads", info.threads);
  object.Set("kernels", info.kernels);
  object.Set("loadSeconds", info.load_seconds);
  if (info.gpu) object.Set("gpu", to_js(env, *info.gpu));
  object.Set("gpuLayers", info.gpu_layers);
  if (!info.gpu_reason.empty()) object.Set("gpuReason", info.gpu_reason);
  return object;
}

/// `passed`: bytes of the part that is llama.cpp's own.
static Napi::Array tiers_of(Napi::Env env, const cache::Account& account, size_t passed) {
  Napi::Array tiers = Napi::Array::New(env);
  const auto add = [&](const std::string& name, int64_t tokens, size_t bytes) {
    if (bytes == 0) return;
    Napi::Object tier = Napi::Object::New(env);
    tier.Set("name", name);
    tier.Set("tokens", static_cast<double>(tokens));
    tier.Set("bytes", static_cast<double>(bytes));
    tiers.Set(tiers.Length(), tier);
  };
  add("sink", account.sink.tokens, account.sink.bytes);
  for (const cache::Account::Coded& level : account.coded)
    add(attention::name_of(level.tier), level.tokens, level.bytes);
  add("window", account.window.tokens, account.window.bytes);
  add("passthrough", account.tokens, passed);
  return tiers;
}

static Napi::Value to_js(Napi::Env env, const runtime::Check& check) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("asked", check.asked);
  object.Set("tier", check.tier);
  object.Set("divergence", check.divergence);
  object.Set("bound", check.bound);
  object.Set("sameTop", check.same_top);
  return object;
}

Napi::Value to_js(Napi::Env env, const runtime::Stats& stats) {
  const cache::Account& account = stats.account;
  Napi::Object object = Napi::Object::New(env);
  object.Set("policy", stats.policy);
  object.Set("tokens", static_cast<double>(account.tokens));
  object.Set("contextTokens", stats.context_tokens);
  object.Set("bytes", static_cast<double>(account.bytes() + stats.passed_bytes));
  object.Set("reservedBytes", static_cast<double>(stats.reserved_bytes + stats.passed_bytes));
  object.Set("budgetBytes", static_cast<double>(stats.budget_bytes));
  Napi::Array sequences = Napi::Array::New(env);
  for (const runtime::SequenceStats& each : stats.sequences) {
    Napi::Object sequence = Napi::Object::New(env);
    sequence.Set("sequence", each.sequence);
    sequence.Set("tokens", static_cast<double>(each.tokens));
    sequence.Set("bytes", static_cast<double>(each.bytes));
    sequences.Set(sequences.Length(), sequence);
  }
  object.Set("sequences", sequences);
  object.Set("sharedBytes", static_cast<double>(stats.shared_bytes));
  object.Set("fp16Bytes", static_cast<double>(account.fp16_bytes + stats.passed_bytes));
  object.Set("droppedTokens", static_cast<double>(account.dropped_tokens));
  object.Set("degradedTokens", static_cast<double>(account.degraded_tokens));
  object.Set("tiers", tiers_of(env, account, stats.passed_bytes));
  Napi::Array biased = Napi::Array::New(env);
  for (const int32_t layer : stats.biased_layers) biased.Set(biased.Length(), layer);
  object.Set("biasedLayers", biased);
  if (stats.check) object.Set("check", to_js(env, *stats.check));
  return object;
}

static Napi::Value to_js(Napi::Env env, const device::Operation& operation) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("name", operation.name);
  object.Set("role", operation.role);
  if (operation.layer >= 0) object.Set("layer", operation.layer);
  object.Set("shape", operation.shape);
  object.Set("device", operation.device);
  if (!operation.kernel.empty()) object.Set("kernel", operation.kernel);
  if (!operation.tiers.empty()) object.Set("tiers", operation.tiers);
  return object;
}

static Napi::Value to_js(Napi::Env env, const device::Event& event) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("operation", event.operation);
  object.Set("step", event.step);
  object.Set("start", event.start);
  object.Set("duration", event.duration);
  object.Set("flops", event.cost.flops);
  object.Set("bytes", event.cost.bytes);
  if (event.cost.cache.empty()) return object;
  Napi::Object tiers = Napi::Object::New(env);
  for (const device::TierBytes& tier : event.cost.cache)
    tiers.Set(attention::name_of(tier.tier), static_cast<double>(tier.bytes));
  object.Set("cacheBytes", tiers);
  return object;
}

static Napi::Value to_js(Napi::Env env, const device::ProfiledStep& step) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("first", step.first);
  object.Set("tokens", step.tokens);
  object.Set("start", step.start);
  object.Set("duration", step.duration);
  object.Set("fp16Bytes", static_cast<double>(step.account.fp16_bytes + step.passed_bytes));
  object.Set("tiers", tiers_of(env, step.account, step.passed_bytes));
  return object;
}

Napi::Value to_js(Napi::Env env, const device::Recorded& recorded) {
  const auto list = [&](const auto& items) {
    Napi::Array array = Napi::Array::New(env, items.size());
    for (size_t i = 0; i < items.size(); i++) {
      const Napi::HandleScope scope(env);
      array.Set(static_cast<uint32_t>(i), to_js(env, items[i]));
    }
    return array;
  };
  Napi::Object object = Napi::Object::New(env);
  object.Set("operations", list(recorded.operations));
  object.Set("events", list(recorded.events));
  object.Set("steps", list(recorded.steps));
  object.Set("lostSteps", recorded.lost_steps);
  return object;
}

Napi::Value to_js(Napi::Env env, const std::vector<runtime::Forecast>& forecasts) {
  Napi::Array array = Napi::Array::New(env);
  for (const runtime::Forecast& forecast : forecasts) {
    Napi::Object object = Napi::Object::New(env);
    object.Set("policy", forecast.policy);
    Napi::Array bytes = Napi::Array::New(env);
    for (const size_t each : forecast.bytes) bytes.Set(bytes.Length(), static_cast<double>(each));
    object.Set("bytes", bytes);
    array.Set(array.Length(), object);
  }
  return array;
}

Napi::Value to_js(Napi::Env env, const runtime::Comparison& comparison) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("divergences", to_js(env, comparison.divergences));
  object.Set("losses", to_js(env, comparison.losses));
  object.Set("referenceLosses", to_js(env, comparison.reference_losses));
  object.Set("sameTop", comparison.same_top);
  return object;
}

Napi::Value to_js(Napi::Env env, const runtime::Session& session) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("tokens", session.tokens);
  object.Set("bytes", static_cast<double>(session.bytes));
  return object;
}

Napi::Value to_js(Napi::Env env, const std::vector<llama_token>& tokens) {
  Napi::Int32Array array = Napi::Int32Array::New(env, tokens.size());
  std::copy(tokens.begin(), tokens.end(), array.Data());
  return array;
}

Napi::Value to_js(Napi::Env env, const std::vector<float>& logits) {
  Napi::Float32Array array = Napi::Float32Array::New(env, logits.size());
  std::copy(logits.begin(), logits.end(), array.Data());
  return array;
}

Napi::Value to_js(Napi::Env env, const runtime::Completion& completion) {
  const auto finish = [&] {
    switch (completion.finish) {
      case runtime::Completion::Finish::end:
        return "end";
      case runtime::Completion::Finish::length:
        return "length";
      case runtime::Completion::Finish::context:
        return "context";
      case runtime::Completion::Finish::stopped:
        return "stopped";
    }
    return "end";
  };
  Napi::Object object = Napi::Object::New(env);
  object.Set("text", completion.text);
  object.Set("tokens", to_js(env, completion.tokens));
  object.Set("finish", finish());
  object.Set("reusedTokens", completion.reused_tokens);
  object.Set("prefilledTokens", completion.prefilled_tokens);
  object.Set("draftedTokens", completion.drafted_tokens);
  object.Set("acceptedTokens", completion.accepted_tokens);
  object.Set("prefillSeconds", completion.prefill_seconds);
  object.Set("decodeSeconds", completion.decode_seconds);
  return object;
}

}  // namespace sightline::addon
