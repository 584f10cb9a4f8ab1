#pragma once
// The one thread a model lives on, and the queue in front of it.
//
// A process may exit while an engine computes. Its engines are then stopped before the libraries
// they compute with are taken apart.

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include "runtime/model.h"

namespace sightline::runtime {

class Engine {
 public:
  /// What a call works on: null until loaded and after `close`.
  using Slot = std::unique_ptr<Model>;
  using Call = std::function<void(Slot& model)>;

  Engine();
  /// Cancels what runs and waits for it.
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  /// Queues a call. `cancel` belongs to it: `close` sets it. Calls run one at a time, in order,
  /// all of them, also after `close` (they find the slot empty).
  void post(std::shared_ptr<Cancel> cancel, Call call);

  /// Cancels every call in the queue, frees the model, then calls `done` on the engine's thread.
  void close(std::function<void()> done);

 private:
  struct Queued {
    std::shared_ptr<Cancel> cancel;
    Call call;
  };

  void run();
  void stop();
  static void stop_all();

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Queued> queue_;
  std::shared_ptr<Cancel> running_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace sightline::runtime
