// The module: `release`, `load`, and the engine object that a load resolves to.
// What it offers is documented in sidecar/engine/addon.ts.

#include <napi.h>

#include "convert.h"
#include "job.h"
#include "runtime/libraries.h"

namespace sightline::addon {
namespace {

using runtime::Code;
using runtime::Engine;
using runtime::Error;
using runtime::Result;

Error closed() { return {Code::closed, "The engine is closed."}; }

Napi::Value identity(Napi::Env env, const std::string& text) {
  return Napi::String::New(env, text);
}

Napi::Value rejected(Napi::Env env, const Error& error) {
  const auto deferred = Napi::Promise::Deferred::New(env);
  deferred.Reject(to_js_error(env, error));
  return deferred.Promise();
}

Napi::Object rejected_job(Napi::Env env, const Error& error) {
  Napi::Object job = Napi::Object::New(env);
  job.Set("result", rejected(env, error));
  job.Set("abort", Napi::Function::New(env, [](const Napi::CallbackInfo&) {}));
  return job;
}

/// A completion's job can also be finished early.
Napi::Object finishable(Napi::Env env, Napi::Object job,
                        const std::shared_ptr<runtime::Finish>& finish) {
  job.Set("finish",
          Napi::Function::New(env, [finish](const Napi::CallbackInfo&) { finish->store(true); }));
  return job;
}

/// Work that needs a loaded model.
template <typename Work>
auto with_model(Work work) {
  return
      [work = std::move(work)](Engine::Slot& model,
                               const Settlement& settlement) -> decltype(work(*model, settlement)) {
        if (model == nullptr) return closed();
        return work(*model, settlement);
      };
}

class EngineObject : public Napi::ObjectWrap<EngineObject> {
 public:
  explicit EngineObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<EngineObject>(info) {}

  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "Engine",
                       {
                           InstanceAccessor<&EngineObject::info>("info"),
                           InstanceMethod<&EngineObject::tokenize>("tokenize"),
                           InstanceMethod<&EngineObject::detokenize>("detokenize"),
                           InstanceMethod<&EngineObject::complete>("complete"),
                           InstanceMethod<&EngineObject::evaluate>("evaluate"),
                           InstanceMethod<&EngineObject::truncate>("truncate"),
                           InstanceMethod<&EngineObject::compare>("compare"),
                           InstanceMethod<&EngineObject::begin_sequence>("beginSequence"),
                           InstanceMethod<&EngineObject::drop_sequence>("dropSequence"),
                           InstanceMethod<&EngineObject::forecast>("forecast"),
                           InstanceMethod<&EngineObject::set_cache_budget>("setCacheBudget"),
                           InstanceMethod<&EngineObject::stats>("stats"),
                           InstanceMethod<&EngineObject::save_session>("saveSession"),
                           InstanceMethod<&EngineObject::restore_session>("restoreSession"),
                           InstanceMethod<&EngineObject::take_profile>("takeProfile"),
                           InstanceMethod<&EngineObject::close>("close"),
                       });
  }

  void adopt(std::shared_ptr<Engine> engine, std::shared_ptr<const runtime::Model*> model,
             const runtime::Info& info) {
    engine_ = std::move(engine);
    model_ = std::move(model);
    info_ = info;
  }

 private:
  Napi::Value info(const Napi::CallbackInfo& call) { return to_js(call.Env(), info_); }

  Napi::Value tokenize(const Napi::CallbackInfo& call) {
    if (!call[0].IsString())
      return rejected(call.Env(), {Code::bad_argument, "text must be a string."});
    const std::string text = call[0].As<Napi::String>().Utf8Value();
    const bool special = call[1].ToBoolean();
    return promise(
        call.Env(),
        [text, special](runtime::Model& model, const Settlement&)
            -> Result<std::vector<llama_token>> { return model.tokenize(text, special); },
        [](Napi::Env env, const std::vector<llama_token>& tokens) { return to_js(env, tokens); });
  }

  Napi::Value detokenize(const Napi::CallbackInfo& call) {
    Result<std::vector<llama_token>> tokens = to_tokens(call[0]);
    if (!tokens) return rejected(call.Env(), tokens.error());
    return promise(
        call.Env(),
        [tokens = std::move(tokens.value())](runtime::Model& model, const Settlement&) {
          return model.detokenize(tokens);
        },
        identity);
  }

  Napi::Value complete(const Napi::CallbackInfo& call) {
    const auto finish = std::make_shared<runtime::Finish>(false);
    const auto refused = [&](const Error& error) {
      return finishable(call.Env(), rejected_job(call.Env(), error), finish);
    };
    Result<runtime::CompleteRequest> request = to_complete_request(call[0]);
    if (!request) return refused(request.error());
    if (!call[1].IsFunction()) return refused({Code::bad_argument, "onEvent must be a function."});
    auto listener =
        std::make_shared<Napi::FunctionReference>(Napi::Persistent(call[1].As<Napi::Function>()));
    const auto settlement = run(
        call.Env(),
        [request = std::move(request.value()), listener, finish](runtime::Model& model,
                                                                 const Settlement& settlement) {
          return model.complete(request, events(settlement.courier, listener), *settlement.cancel,
                                *finish);
        },
        [](Napi::Env env, const runtime::Completion& completion) {
          return to_js(env, completion);
        });
    return finishable(call.Env(), settlement->job(call.Env()), finish);
  }

  Napi::Value evaluate(const Napi::CallbackInfo& call) {
    Result<std::vector<llama_token>> tokens = to_tokens(call[0]);
    if (!tokens) return rejected_job(call.Env(), tokens.error());
    const std::string rows = call[1].IsString() ? call[1].As<Napi::String>().Utf8Value() : "";
    if (rows != "all" && rows != "last")
      return rejected_job(call.Env(), {Code::bad_argument, "logits must be 'all' or 'last'."});
    Result<int32_t> sequence = to_sequence(call[2]);
    if (!sequence) return rejected_job(call.Env(), sequence.error());
    const auto settlement = run(
        call.Env(),
        [tokens = std::move(tokens.value()), all = rows == "all", sequence = sequence.value()](
            runtime::Model& model, const Settlement& settlement) {
          return model.evaluate(tokens, all, *settlement.cancel, sequence);
        },
        [](Napi::Env env, const std::vector<float>& logits) { return to_js(env, logits); });
    return settlement->job(call.Env());
  }

  Napi::Value truncate(const Napi::CallbackInfo& call) {
    Result<int32_t> tokens = to_count(call[0], "tokens");
    if (!tokens) return rejected(call.Env(), tokens.error());
    const std::string how = call[1].IsUndefined() ? "exact" : call[1].ToString().Utf8Value();
    if (how != "exact" && how != "reopen")
      return rejected(call.Env(), {Code::bad_argument, "rollback must be 'exact' or 'reopen'."});
    const auto rollback = how == "exact" ? cache::Rollback::exact : cache::Rollback::reopen;
    return promise(
        call.Env(),
        [count = tokens.value(), rollback](runtime::Model& model,
                                           const Settlement&) -> Result<int32_t> {
          const auto used = model.use(runtime::kFirstSequence);
          if (!used) return used.error();
          return model.truncate(count, rollback);
        },
        [](Napi::Env env, int32_t kept) { return Napi::Number::New(env, kept); });
  }

  /// The first where none is given.
  static Result<int32_t> to_sequence(const Napi::Value& value) {
    if (value.IsUndefined()) return int32_t{runtime::kFirstSequence};
    return to_count(value, "sequence");
  }

  Napi::Value compare(const Napi::CallbackInfo& call) {
    Result<std::vector<llama_token>> tokens = to_tokens(call[0]);
    if (!tokens) return rejected_job(call.Env(), tokens.error());
    Result<std::vector<llama_token>> next = to_tokens(call[1]);
    if (!next) return rejected_job(call.Env(), next.error());
    Result<int32_t> sequence = to_count(call[2], "sequence");
    if (!sequence) return rejected_job(call.Env(), sequence.error());
    Result<int32_t> reference = to_count(call[3], "reference");
    if (!reference) return rejected_job(call.Env(), reference.error());
    const auto settlement = run(
        call.Env(),
        [tokens = std::move(tokens.value()), next = std::move(next.value()),
         sequence = sequence.value(),
         reference = reference.value()](runtime::Model& model, const Settlement& settlement) {
          return model.compare(tokens, next, sequence, reference, *settlement.cancel);
        },
        [](Napi::Env env, const runtime::Comparison& comparison) {
          return to_js(env, comparison);
        });
    return settlement->job(call.Env());
  }

  Napi::Value begin_sequence(const Napi::CallbackInfo& call) {
    Result<int32_t> sequence = to_sequence(call[0]);
    if (!sequence) return rejected(call.Env(), sequence.error());
    Result<cache::Policy> policy = to_cache_policy(call[1]);
    if (!policy) return rejected(call.Env(), policy.error());
    return promise(
        call.Env(),
        [sequence = sequence.value(), policy = std::move(policy.value())](runtime::Model& model,
                                                                          const Settlement&) {
          return model.begin_sequence(sequence, policy);
        },
        [](Napi::Env env, runtime::Done) { return env.Undefined(); });
  }

  Napi::Value drop_sequence(const Napi::CallbackInfo& call) {
    Result<int32_t> sequence = to_sequence(call[0]);
    if (!sequence) return rejected(call.Env(), sequence.error());
    return promise(
        call.Env(),
        [sequence = sequence.value()](runtime::Model& model,
                                      const Settlement&) -> Result<runtime::Done> {
          model.drop_sequence(sequence);
          return runtime::Done{};
        },
        [](Napi::Env env, runtime::Done) { return env.Undefined(); });
  }

  Napi::Value forecast(const Napi::CallbackInfo& call) {
    Result<std::vector<llama_token>> lengths = to_tokens(call[0]);
    if (!lengths) {
      Napi::Error(call.Env(), to_js_error(call.Env(), lengths.error()))
          .ThrowAsJavaScriptException();
      return call.Env().Undefined();
    }
    if (*model_ == nullptr) {
      throw_closed(call.Env());
      return call.Env().Undefined();
    }
    return to_js(call.Env(), (*model_)->forecast(lengths.value()));
  }

  Napi::Value set_cache_budget(const Napi::CallbackInfo& call) {
    Result<size_t> bytes = to_bytes(call[0], "bytes");
    if (!bytes) return rejected(call.Env(), bytes.error());
    return promise(
        call.Env(),
        [bytes = bytes.value()](runtime::Model& model, const Settlement&) -> Result<runtime::Done> {
          model.set_budget(bytes);
          return runtime::Done{};
        },
        [](Napi::Env env, runtime::Done) { return env.Undefined(); });
  }

  Napi::Value stats(const Napi::CallbackInfo& call) {
    // The engine's thread frees the model only after `close` was called here.
    if (*model_ == nullptr) {
      throw_closed(call.Env());
      return call.Env().Undefined();
    }
    return to_js(call.Env(), (*model_)->stats());
  }

  Napi::Value save_session(const Napi::CallbackInfo& call) {
    return session(call, &runtime::Model::save_session);
  }

  Napi::Value restore_session(const Napi::CallbackInfo& call) {
    return session(call, &runtime::Model::restore_session);
  }

  Napi::Value session(const Napi::CallbackInfo& call,
                      Result<runtime::Session> (runtime::Model::*method)(const std::string&)) {
    if (!call[0].IsString())
      return rejected(call.Env(), {Code::bad_argument, "path must be a string."});
    return promise(
        call.Env(),
        [path = call[0].As<Napi::String>().Utf8Value(), method](
            runtime::Model& model, const Settlement&) { return (model.*method)(path); },
        [](Napi::Env env, const runtime::Session& session) { return to_js(env, session); });
  }

  Napi::Value take_profile(const Napi::CallbackInfo& call) {
    return promise(
        call.Env(), [](runtime::Model& model, const Settlement&) { return model.take_profile(); },
        [](Napi::Env env, const device::Recorded& recorded) { return to_js(env, recorded); });
  }

  Napi::Value close(const Napi::CallbackInfo& call) {
    *model_ = nullptr;
    const auto settlement = std::make_shared<Settlement>(call.Env());
    engine_->close([settlement] {
      settlement->courier.deliver(
          [settlement](Napi::Env env) { settlement->deferred.Resolve(env.Undefined()); });
      settlement->courier.release();
    });
    return settlement->deferred.Promise();
  }

  static void throw_closed(Napi::Env env) {
    Napi::Error(env, to_js_error(env, closed())).ThrowAsJavaScriptException();
  }

  static runtime::CompleteListener events(
      const Courier& courier, const std::shared_ptr<Napi::FunctionReference>& listener) {
    const auto send = [courier, listener](auto fill) {
      courier.deliver([listener, fill](Napi::Env env) {
        const Napi::HandleScope scope(env);
        Napi::Object event = Napi::Object::New(env);
        fill(event);
        listener->Call({event});
      });
    };
    return {[send](int32_t done, int32_t total) {
              send([done, total](Napi::Object& event) {
                event.Set("kind", "prefill");
                event.Set("done", done);
                event.Set("total", total);
              });
            },
            [send](std::string_view piece) {
              send([text = std::string(piece)](Napi::Object& event) {
                event.Set("kind", "text");
                event.Set("text", text);
              });
            }};
  }

  /// Runs work on the model; the object stays alive until its result is there.
  template <typename Work, typename Convert>
  std::shared_ptr<Settlement> run(Napi::Env env, Work work, Convert convert) {
    auto self = std::make_shared<Napi::ObjectReference>(Napi::Persistent(Value()));
    return start(env, *engine_, with_model(std::move(work)),
                 [self, convert = std::move(convert)](Napi::Env js, auto& value) -> Napi::Value {
                   return convert(js, value);
                 });
  }

  template <typename Work, typename Convert>
  Napi::Value promise(Napi::Env env, Work work, Convert convert) {
    return run(env, std::move(work), std::move(convert))->deferred.Promise();
  }

  std::shared_ptr<Engine> engine_;
  std::shared_ptr<const runtime::Model*> model_;  // for `stats`; null once closed
  runtime::Info info_;
};

struct Module {
  Napi::FunctionReference engine_class;
};

Napi::Value load(const Napi::CallbackInfo& call) {
  const Napi::Env env = call.Env();
  Result<runtime::LoadOptions> options = to_load_options(call[0]);
  if (!options) return rejected_job(env, options.error());
  if (!call[1].IsFunction())
    return rejected_job(env, {Code::bad_argument, "onProgress must be a function."});
  auto on_progress =
      std::make_shared<Napi::FunctionReference>(Napi::Persistent(call[1].As<Napi::Function>()));
  auto engine = std::make_shared<Engine>();
  auto loaded = std::make_shared<const runtime::Model*>(nullptr);

  const auto settlement = start(
      env, *engine,
      [options = std::move(options.value()), on_progress, loaded](
          Engine::Slot& slot, const Settlement& settlement) -> Result<runtime::Info> {
        const auto progress = [&](float fraction) {
          settlement.courier.deliver([on_progress, fraction](Napi::Env js) {
            const Napi::HandleScope scope(js);
            on_progress->Call({Napi::Number::New(js, fraction)});
          });
        };
        Result<std::unique_ptr<runtime::Model>> model =
            runtime::Model::load(options, progress, *settlement.cancel);
        if (!model) return model.error();
        slot = std::move(model.value());
        *loaded = slot.get();
        return slot->info();
      },
      [engine, loaded](Napi::Env js, const runtime::Info& info) -> Napi::Value {
        Napi::Object object = js.GetInstanceData<Module>()->engine_class.New({});
        EngineObject::Unwrap(object)->adopt(engine, loaded, info);
        return object;
      });
  return settlement->job(env);
}

Napi::Value gpu(const Napi::CallbackInfo& call) {
  auto engine = std::make_shared<Engine>();  // for its thread
  const auto settlement = start(
      call.Env(), *engine, [](Engine::Slot&, const Settlement&) { return runtime::see_gpu(); },
      [engine](Napi::Env js, const runtime::SeenGpu& seen) { return to_js(js, seen); });
  return settlement->deferred.Promise();
}

Napi::Object initialise(Napi::Env env, Napi::Object exports) {
  auto* module = new Module;
  module->engine_class = Napi::Persistent(EngineObject::define(env));
  env.SetInstanceData<Module>(module);

  Napi::Object release = Napi::Object::New(env);
  release.Set("built", runtime::built_release());
  release.Set("loaded", runtime::loaded_release());
  exports.Set("release", release);
  exports.Set("gpu", Napi::Function::New(env, gpu));
  exports.Set("load", Napi::Function::New(env, load));
  return exports;
}

}  // namespace

NODE_API_MODULE(sightline, initialise)

}  // namespace sightline::addon
