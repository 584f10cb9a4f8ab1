#include "runtime/engine.h"

#include <cstdlib>
#include <set>

namespace sightline::runtime {
namespace {

/// The process's engines. Never destroyed: it is used while the process exits.
struct Living {
  std::mutex mutex;
  std::set<Engine*> engines;
};

Living& living() {
  static auto* const all = new Living;
  return *all;
}

}  // namespace

/// Exit handlers run in the reverse order of their registration, among the destructors of the
/// libraries' statics: one registered now runs before everything that exists by now goes away.
void Engine::stop_all() {
  Living& all = living();
  const std::lock_guard lock(all.mutex);
  for (Engine* engine : all.engines) engine->stop();
}

Engine::Engine() : thread_([this] { run(); }) {
  Living& all = living();
  const std::lock_guard lock(all.mutex);
  all.engines.insert(this);
  std::atexit(stop_all);
}

Engine::~Engine() {
  {
    Living& all = living();
    const std::lock_guard lock(all.mutex);
    all.engines.erase(this);
  }
  stop();
}

void Engine::stop() {
  if (!thread_.joinable()) return;
  close([] {});
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void Engine::post(std::shared_ptr<Cancel> cancel, Call call) {
  {
    const std::lock_guard lock(mutex_);
    queue_.push_back({std::move(cancel), std::move(call)});
  }
  wake_.notify_one();
}

void Engine::close(std::function<void()> done) {
  {
    const std::lock_guard lock(mutex_);
    if (running_ != nullptr) running_->store(true);
    for (const Queued& queued : queue_) queued.cancel->store(true);
  }
  post(std::make_shared<Cancel>(false), [done = std::move(done)](Slot& model) {
    model.reset();
    done();
  });
}

void Engine::run() {
  Slot model;
  bool guarded = false;
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
    if (queue_.empty()) return;
    Queued queued = std::move(queue_.front());
    queue_.pop_front();
    running_ = queued.cancel;
    lock.unlock();
    queued.call(model);
    queued = {};  // what the call holds goes away here, outside the lock
    if (model != nullptr && !guarded) {
      std::atexit(stop_all);  // again, for what loading brought into being
      guarded = true;
    }
    lock.lock();
    running_.reset();
  }
}

}  // namespace sightline::runtime
