#pragma once
// JavaScript values from and to plain structs. Reading checks types: JavaScript is not trusted.

#include <napi.h>

#include "runtime/model.h"

namespace sightline::addon {

runtime::Result<runtime::LoadOptions> to_load_options(const Napi::Value& value);
runtime::Result<cache::Policy> to_cache_policy(const Napi::Value& value);
runtime::Result<runtime::CompleteRequest> to_complete_request(const Napi::Value& value);
runtime::Result<std::vector<llama_token>> to_tokens(const Napi::Value& value);
runtime::Result<int32_t> to_count(const Napi::Value& value, const char* what);
runtime::Result<size_t> to_bytes(const Napi::Value& value, const char* what);

Napi::Value to_js(Napi::Env env, const runtime::SeenGpu& gpu);
Napi::Value to_js(Napi::Env env, const runtime::Info& info);
Napi::Value to_js(Napi::Env env, const runtime::Stats& stats);
Napi::Value to_js(Napi::Env env, const std::vector<runtime::Forecast>& forecasts);
Napi::Value to_js(Napi::Env env, const runtime::Comparison& comparison);
Napi::Value to_js(Napi::Env env, const runtime::Session& session);
Napi::Value to_js(Napi::Env env, const runtime::Completion& completion);
Napi::Value to_js(Napi::Env env, const device::Recorded& recorded);
Napi::Value to_js(Napi::Env env, const std::vector<llama_token>& tokens);
Napi::Value to_js(Napi::Env env, const std::vector<float>& logits);

}  // namespace sightline::addon
