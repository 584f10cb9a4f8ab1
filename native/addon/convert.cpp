#include "convert.h"

#include <algorithm>
#include <cmath>
#include <limits>

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

  void fail(const char* name, const char* expected) {
    if (wrong_.empty()) wrong_ = std::string(name) + " must be " + expected + ".";
  }

 private:
  Napi::Object object_;
  std::string wrong_;
};

}  // namespace

Result<runtime::LoadOptions> to_load_options(const Napi::Value& value) {
  Reader reader(value);
  runtime::LoadOptions options;
  options.model_path = reader.text("modelPath");
  options.libraries_path = reader.text("librariesPath");
  options.context_tokens = reader.count("contextTokens");
  options.threads = reader.count("threads", kMostThreads);
  options.cache_budget_bytes = static_cast<size_t>(reader.number("cacheBudgetBytes", 0, 0x1p53));
  if (!reader.wrong().empty()) return reader.error();

  Reader cache(reader.get("cache"));
  const std::string policy = cache.text("policy");
  if (policy == "full") {
    options.cache = cache::Policy{cache::PolicyKind::full, 0, 0};
  } else if (policy == "selective") {
    const int32_t sink = cache.count("sink");
    options.cache = cache::Policy{cache::PolicyKind::selective, sink, cache.count("window")};
  } else if (policy == "stock") {
    const std::string type = cache.text("type");
    options.cache = runtime::StockCache{type == "q8_0"   ? GGML_TYPE_Q8_0
                                        : type == "q4_0" ? GGML_TYPE_Q4_0
                                                         : GGML_TYPE_F16,
                                        cache.flag("flashAttention")};
    if (type != "f16" && type != "q8_0" && type != "q4_0")
      cache.fail("cache.type", "f16, q8_0 or q4_0");
  } else {
    cache.fail("cache.policy", "full, selective or stock");
  }
  if (!cache.wrong().empty()) return cache.error();
  return options;
}

Result<runtime::CompleteRequest> to_complete_request(const Napi::Value& value) {
  Reader reader(value);
  runtime::CompleteRequest request;
  request.tokens = reader.tokens("tokens");
  request.max_tokens = reader.count("maxTokens");
  request.stop_tokens = reader.tokens("stopTokens");
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

Result<int32_t> to_count(const Napi::Value& value, const char* what) {
  const double number = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : NAN;
  if (number >= 0 && number <= std::numeric_limits<int32_t>::max() && number == std::floor(number))
    return static_cast<int32_t>(number);
  return Error{Code::bad_argument, std::string(what) + " must be a whole number from 0 on."};
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
  object.Set("bos", info.bos);
  object.Set("addBos", info.add_bos);
  object.Set("ownedLayers", info.owned_layers);
  object.Set("threads", info.threads);
  object.Set("kernels", info.kernels);
  object.Set("loadSeconds", info.load_seconds);
  return object;
}

Napi::Value to_js(Napi::Env env, const runtime::Stats& stats) {
  const cache::Account& account = stats.account;
  Napi::Array tiers = Napi::Array::New(env);
  size_t total = 0;
  const auto add = [&](const char* name, int64_t tokens, size_t bytes) {
    if (bytes == 0) return;
    Napi::Object tier = Napi::Object::New(env);
    tier.Set("name", name);
    tier.Set("tokens", static_cast<double>(tokens));
    tier.Set("bytes", static_cast<double>(bytes));
    tiers.Set(tiers.Length(), tier);
    total += bytes;
  };
  add("sink", account.sink_tokens, account.sink_bytes);
  add("int8", account.int8_tokens, account.int8_bytes);
  add("window", account.window_tokens, account.window_bytes);
  add("passthrough", account.tokens, stats.passed_bytes);

  Napi::Object object = Napi::Object::New(env);
  object.Set("policy", stats.policy);
  object.Set("tokens", static_cast<double>(account.tokens));
  object.Set("contextTokens", stats.context_tokens);
  object.Set("bytes", static_cast<double>(total));
  object.Set("reservedBytes", static_cast<double>(stats.reserved_bytes + stats.passed_bytes));
  object.Set("fp16Bytes", static_cast<double>(account.fp16_bytes + stats.passed_bytes));
  object.Set("tiers", tiers);
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
    }
    return "end";
  };
  Napi::Object object = Napi::Object::New(env);
  object.Set("text", completion.text);
  object.Set("tokens", to_js(env, completion.tokens));
  object.Set("finish", finish());
  object.Set("reusedTokens", completion.reused_tokens);
  object.Set("prefilledTokens", completion.prefilled_tokens);
  object.Set("prefillSeconds", completion.prefill_seconds);
  object.Set("decodeSeconds", completion.decode_seconds);
  return object;
}

}  // namespace sightline::addon
