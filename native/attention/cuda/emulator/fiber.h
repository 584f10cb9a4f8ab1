#pragma once
// Stackful coroutines: one for every CUDA thread of a block. A fiber runs until it suspends itself;
// there is no preemption, so the order in which threads meet is up to the scheduler alone.

#include <cstddef>
#include <memory>

namespace sightline::attention::cuda::emulator {

/// Memory for a fiber's stack with a page behind it that faults on overflow.
class Stack {
 public:
  static constexpr size_t kBytes = size_t{128} << 10;

  /// Throws std::bad_alloc.
  Stack();
  Stack(const Stack&) = delete;
  Stack& operator=(const Stack&) = delete;
  ~Stack();

  std::byte* bottom() const { return memory_; }
  std::byte* top() const { return memory_ + kBytes; }

 private:
  std::byte* memory_;
};

class Fiber {
 public:
  using Body = void (*)(void* argument);

  Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;
  ~Fiber();

  /// Makes the fiber ready to run `body(argument)` from its start. It must not be suspended midway.
  void prepare(Body body, void* argument);

  /// Runs the fiber until it suspends or its body returns; true: it has not returned yet.
  bool resume();

  /// Suspends the fiber that runs; resume() of it returns.
  static void suspend();

 private:
  struct Context;
  static void enter();
  void leave(bool for_good);

  Stack stack_;
  std::unique_ptr<Context> context_;
  Body body_ = nullptr;
  void* argument_ = nullptr;
  bool finished_ = true;
};

}  // namespace sightline::attention::cuda::emulator
