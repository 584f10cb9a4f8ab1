#include "attention/cuda/emulator/fiber.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <new>

#if !defined(__x86_64__)
#include <ucontext.h>
#endif

// This file is built without sanitizers, and is linked into programs with them: then these are
// there. They have to be told of every change of stacks.
extern "C" {
__attribute__((weak)) void __sanitizer_start_switch_fiber(void** fake, const void* bottom,
                                                          size_t bytes);
__attribute__((weak)) void __sanitizer_finish_switch_fiber(void* fake, const void** bottom,
                                                           size_t* bytes);
__attribute__((weak)) void __asan_unpoison_memory_region(const volatile void* at, size_t bytes);
__attribute__((weak)) void* __tsan_get_current_fiber();
__attribute__((weak)) void* __tsan_create_fiber(unsigned flags);
__attribute__((weak)) void __tsan_destroy_fiber(void* fiber);
__attribute__((weak)) void __tsan_switch_to_fiber(void* fiber, unsigned flags);
}

#if defined(__x86_64__)
extern "C" void sightline_emulator_switch(void** from, void* to);
// Saves what the calling convention says a callee keeps, and takes the other stack.
asm(R"(
.text
.globl sightline_emulator_switch
.type sightline_emulator_switch, @function
sightline_emulator_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size sightline_emulator_switch, .-sightline_emulator_switch
)");
#endif

namespace sightline::attention::cuda::emulator {
namespace {

constexpr size_t kPage = 4096;
constexpr unsigned kNoOrder =
    1;  // a change of fibers is no synchronisation to the thread sanitizer

thread_local Fiber* running = nullptr;

}  // namespace

Stack::Stack() {
  void* memory = mmap(nullptr, kBytes + kPage, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  mprotect(memory, kPage, PROT_NONE);
  memory_ = static_cast<std::byte*>(memory) + kPage;
}

Stack::~Stack() { munmap(memory_ - kPage, kBytes + kPage); }

struct Fiber::Context {
#if defined(__x86_64__)
  void* own = nullptr;      // stack pointers
  void* resumer = nullptr;  //
#else
  ucontext_t own, resumer;
#endif
  void* fake_stack = nullptr;  // address sanitizer's
  void* resumer_fake_stack = nullptr;
  const void* resumer_bottom = nullptr;
  size_t resumer_bytes = 0;
  void* thread = nullptr;  // thread sanitizer's
  void* resumer_thread = nullptr;
};

Fiber::Fiber() : context_(std::make_unique<Context>()) {
  if (__tsan_create_fiber != nullptr) context_->thread = __tsan_create_fiber(0);
}

Fiber::~Fiber() {
  if (context_->thread != nullptr) __tsan_destroy_fiber(context_->thread);
}

void Fiber::prepare(Body body, void* argument) {
  body_ = body;
  argument_ = argument;
  finished_ = false;
  context_->fake_stack = nullptr;
  if (__asan_unpoison_memory_region != nullptr)
    __asan_unpoison_memory_region(stack_.bottom(), Stack::kBytes);
#if defined(__x86_64__)
  auto* top = reinterpret_cast<void**>(stack_.top());
  *--top = nullptr;  // the alignment that a function finds behind a call
  *--top = reinterpret_cast<void*>(&Fiber::enter);
  for (int i = 0; i < 6; i++) *--top = nullptr;
  context_->own = top;
#else
  getcontext(&context_->own);
  context_->own.uc_stack = {stack_.bottom(), 0, Stack::kBytes};
  context_->own.uc_link = nullptr;
  makecontext(&context_->own, &Fiber::enter, 0);
#endif
}

bool Fiber::resume() {
  Context& context = *context_;
  Fiber* const before = running;
  running = this;
  if (context.thread != nullptr) {
    context.resumer_thread = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(context.thread, kNoOrder);
  }
  if (__sanitizer_start_switch_fiber != nullptr)
    __sanitizer_start_switch_fiber(&context.resumer_fake_stack, stack_.bottom(), Stack::kBytes);
#if defined(__x86_64__)
  sightline_emulator_switch(&context.resumer, context.own);
#else
  swapcontext(&context.resumer, &context.own);
#endif
  if (__sanitizer_finish_switch_fiber != nullptr)
    __sanitizer_finish_switch_fiber(context.resumer_fake_stack, nullptr, nullptr);
  running = before;
  return !finished_;
}

void Fiber::suspend() { running->leave(false); }

void Fiber::enter() {
  Fiber& self = *running;
  if (__sanitizer_finish_switch_fiber != nullptr)
    __sanitizer_finish_switch_fiber(nullptr, &self.context_->resumer_bottom,
                                    &self.context_->resumer_bytes);
  self.body_(self.argument_);
  self.finished_ = true;
  self.leave(true);
  std::abort();  // a finished fiber is not resumed
}

void Fiber::leave(bool for_good) {
  Context& context = *context_;
  if (__sanitizer_start_switch_fiber != nullptr)
    __sanitizer_start_switch_fiber(for_good ? nullptr : &context.fake_stack, context.resumer_bottom,
                                   context.resumer_bytes);
  if (context.thread != nullptr) __tsan_switch_to_fiber(context.resumer_thread, kNoOrder);
#if defined(__x86_64__)
  sightline_emulator_switch(&context.own, context.resumer);
#else
  swapcontext(&context.own, &context.resumer);
#endif
  if (__sanitizer_finish_switch_fiber != nullptr)
    __sanitizer_finish_switch_fiber(context.fake_stack, &context.resumer_bottom,
                                    &context.resumer_bytes);
}

}  // namespace sightline::attention::cuda::emulator
