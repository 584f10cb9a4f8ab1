#include "runtime/engine.h"

namespace sightline::runtime {

Engine::Engine() : thread_([this] { run(); }) {}

Engine::~Engine() {
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
    lock.lock();
    running_.reset();
  }
}

}  // namespace sightline::runtime
