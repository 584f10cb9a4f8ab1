#include "job.h"

namespace sightline::addon {

Napi::Value to_js_error(Napi::Env env, const runtime::Error& error) {
  Napi::Error js = Napi::Error::New(env, error.message);
  js.Set("code", Napi::String::New(env, runtime::name_of(error.code)));
  return js.Value();
}

Courier::Courier(Napi::Env env)
    : function_(Napi::ThreadSafeFunction::New(
          env, Napi::Function::New(env, [](const Napi::CallbackInfo&) {}), "sightline", 0, 1)) {}

void Courier::deliver(Delivery delivery) const {
  // Owned by the call from here on. A call that shutdown prevents is never freed: what it holds may
  // be let go of on JavaScript's thread only, and the process is ending.
  auto* owned = new Delivery(std::move(delivery));
  function_.BlockingCall(owned, [](Napi::Env env, Napi::Function, Delivery* raw) {
    const std::unique_ptr<Delivery> call(raw);
    if (static_cast<napi_env>(env) != nullptr) (*call)(env);
  });
}

void Courier::release() const {
  Napi::ThreadSafeFunction function = function_;
  function.Release();
}

Napi::Object Settlement::job(Napi::Env env) const {
  Napi::Object job = Napi::Object::New(env);
  job.Set("result", deferred.Promise());
  job.Set("abort", Napi::Function::New(
                       env, [cancel = cancel](const Napi::CallbackInfo&) { cancel->store(true); }));
  return job;
}

}  // namespace sightline::addon
