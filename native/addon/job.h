#pragma once
// A call on the engine's thread as JavaScript sees it: { result: Promise, abort() }.

#include <napi.h>

#include <functional>
#include <memory>
#include <new>
#include <optional>
#include <type_traits>
#include <utility>

#include "runtime/engine.h"

namespace sightline::addon {

/// An Error with the code of `error`.
Napi::Value to_js_error(Napi::Env env, const runtime::Error& error);

/// Carries calls from the engine's thread to JavaScript's until released.
class Courier {
 public:
  using Delivery = std::function<void(Napi::Env)>;

  explicit Courier(Napi::Env env);
  /// From any thread. Where the environment is shutting down the call is never made.
  void deliver(Delivery delivery) const;
  /// The last call.
  void release() const;

 private:
  Napi::ThreadSafeFunction function_;
};

/// Both sides of a promise that the engine's thread settles.
struct Settlement {
  Napi::Promise::Deferred deferred;
  Courier courier;
  std::shared_ptr<runtime::Cancel> cancel;

  explicit Settlement(Napi::Env env)
      : deferred(Napi::Promise::Deferred::New(env)),
        courier(env),
        cancel(std::make_shared<runtime::Cancel>(false)) {}

  Napi::Object job(Napi::Env env) const;
};

/// Queues `work` and settles the promise with what `convert` makes of its result in JavaScript.
///   work:    Result<T>(Engine::Slot&, const Settlement&) on the engine's thread
///   convert: Napi::Value(Napi::Env, T&) on JavaScript's
/// References to JavaScript values may be captured in both: they are let go of on its thread.
template <typename Work, typename Convert>
std::shared_ptr<Settlement> start(Napi::Env env, runtime::Engine& engine, Work work,
                                  Convert convert) {
  using Outcome = std::invoke_result_t<Work&, runtime::Engine::Slot&, const Settlement&>;
  struct State {
    std::shared_ptr<Settlement> settlement;
    Work work;
    Convert convert;
    std::optional<Outcome> outcome;
  };
  auto settlement = std::make_shared<Settlement>(env);
  std::shared_ptr<State> state(
      new State{settlement, std::move(work), std::move(convert), std::nullopt});
  engine.post(settlement->cancel, [state = std::move(state)](runtime::Engine::Slot& model) mutable {
    try {
      state->outcome.emplace(state->work(model, *state->settlement));
    } catch (const std::bad_alloc&) {
      state->outcome.emplace(runtime::Error{
          runtime::Code::out_of_memory,
          "The machine has no memory left. Close other programs or use a shorter context."});
    } catch (const std::exception& failure) {
      state->outcome.emplace(runtime::Error{runtime::Code::engine_failed, failure.what()});
    }
    const Courier courier = state->settlement->courier;
    courier.deliver([state = std::move(state)](Napi::Env js) {
      const Napi::HandleScope scope(js);
      const Napi::Promise::Deferred& deferred = state->settlement->deferred;
      if (*state->outcome) {
        deferred.Resolve(state->convert(js, state->outcome->value()));
      } else {
        deferred.Reject(to_js_error(js, state->outcome->error()));
      }
    });
    courier.release();
  });
  return settlement;
}

}  // namespace sightline::addon
