#include "runtime/engine.h"

#include <doctest/doctest.h>

#include <future>
#include <vector>

using namespace sightline::runtime;

TEST_CASE("calls run one at a time, in order, on one thread") {
  Engine engine;
  std::vector<int> order;
  std::promise<void> last;
  std::thread::id thread;
  for (int i = 0; i < 100; i++) {
    engine.post(std::make_shared<Cancel>(false), [&, i](Engine::Slot& model) {
      CHECK(model == nullptr);
      if (i == 0) thread = std::this_thread::get_id();
      CHECK(thread == std::this_thread::get_id());
      order.push_back(i);
      if (i == 99) last.set_value();
    });
  }
  last.get_future().wait();
  REQUIRE(order.size() == 100);
  for (int i = 0; i < 100; i++) CHECK(order[static_cast<size_t>(i)] == i);
  CHECK(thread != std::this_thread::get_id());
}

TEST_CASE("closing cancels what runs and what waits, and still runs every call") {
  Engine engine;
  std::promise<void> started;
  int cancelled = 0;
  auto cancel = std::make_shared<Cancel>(false);
  engine.post(cancel, [&, cancel](Engine::Slot&) {
    started.set_value();
    while (!cancel->load()) std::this_thread::yield();
    cancelled++;
  });
  for (int i = 0; i < 5; i++) {
    auto waiting = std::make_shared<Cancel>(false);
    engine.post(waiting, [&, waiting](Engine::Slot&) { cancelled += waiting->load() ? 1 : 0; });
  }
  started.get_future().wait();
  std::promise<void> closed;
  engine.close([&] { closed.set_value(); });
  closed.get_future().wait();
  CHECK(cancelled == 6);
}

TEST_CASE("an engine can go away while a call runs") {
  for (int i = 0; i < 50; i++) {
    Engine engine;
    auto cancel = std::make_shared<Cancel>(false);
    engine.post(cancel, [cancel](Engine::Slot&) {
      while (!cancel->load()) std::this_thread::yield();
    });
  }
}
