#include <doctest/doctest.h>

#include <vector>

#include "attention/cuda/emulator/device.h"

using namespace sightline::attention::cuda;
using emulator::Fault;
using emulator::Machine;

namespace {

constexpr uint32_t kSeeds[] = {0, 1, 2, 3, 4, 5};

template <typename T, int kCount>
T* shared_array() {
  static const char key = 0;
  return static_cast<T*>(Machine::current().shared(&key, sizeof(T) * kCount, alignof(T)));
}

template <typename Kernel>
void run(emulator::Launch launch, const Kernel& kernel) {
  for (const uint32_t seed : kSeeds) {
    CAPTURE(seed);
    Machine machine({seed});
    machine.run(launch, kernel);
  }
}

/// Whether some order of the threads shows that the kernel is wrong.
template <typename Kernel>
std::string fault_of(emulator::Launch launch, const Kernel& kernel) {
  for (const uint32_t seed : kSeeds) {
    try {
      Machine({seed}).run(launch, kernel);
    } catch (const Fault& fault) {
      return fault.what();
    }
  }
  return {};
}

bool contains(const std::string& text, const char* part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("every thread of every block runs once, whatever the order") {
  std::vector<int> runs(3 * 2 * 48);
  run({{3, 2, 1}, {16, 3, 1}}, [&] {
    const auto t = thread_index();
    const auto b = block_index();
    runs[(b.y * 3 + b.x) * 48 + t.y * 16 + t.x]++;
  });
  for (const int count : runs) CHECK(count == std::size(kSeeds));
}

TEST_CASE("a barrier makes what was written before it visible behind it") {
  run({{4, 1, 1}, {96, 1, 1}}, [] {
    int* values = shared_array<int, 96>();
    const unsigned t = thread_index().x;
    values[t] = static_cast<int>(t);
    sync_block();
    CHECK(values[95 - t] == static_cast<int>(95 - t));
    sync_block();
    CHECK(Machine::current().barrier(Site::current(), Machine::Vote::count, t < 5) == 5);
  });
}

TEST_CASE("lanes exchange values") {
  run({{2, 1, 1}, {64, 1, 1}}, [] {
    int sum = static_cast<int>(lane_index());
    for (unsigned bits = 16; bits > 0; bits /= 2) sum += shuffle_xor(sum, bits);
    CHECK(sum == 31 * 16);
    CHECK(shuffle(lane_index(), 7) == 7);
  });
}

TEST_CASE("asynchronous copies arrive when they are waited for, and not before") {
  alignas(16) static float source[4] = {1, 2, 3, 4};
  run({{1, 1, 1}, {1, 1, 1}}, [] {
    auto* target = shared_array<float, 4>();
    Machine& machine = Machine::current();
    machine.copy_async(target, source, 16, Site::current());
    machine.commit_copies();
    CHECK(std::isnan(target[0]));
    machine.wait_for_copies(0);
    CHECK(target[3] == 4);
  });
}

TEST_CASE("what breaks CUDA's rules is reported with its place") {
  const emulator::Launch two_warps{{1, 1, 1}, {64, 1, 1}};
  alignas(16) static const float source[4] = {};
  // Outside of the macros, which would put all of a kernel on one line.
  const auto different_barriers = [] {
    if (thread_index().x < 32) {
      sync_block();
    } else {
      sync_block();
    }
  };
  const auto missing_lane = [] {
    if (lane_index() != 3) shuffle_xor(1, 1);
  };
  const auto forgotten_copy = [] {
    Machine::current().copy_async(shared_array<float, 4>(), source, 16, Site::current());
  };
  const auto odd_copy = [] {
    Machine::current().copy_async(shared_array<float, 4>(), source, 12, Site::current());
  };
  const auto foreign_collective = [] {
    Machine::current().exchange(1u << (lane_index() ^ 1), {}, Site::current());
  };
  CHECK(contains(fault_of(two_warps, different_barriers), "different barriers"));
  CHECK(contains(fault_of(two_warps, missing_lane), "others of its mask never reach"));
  CHECK(contains(fault_of(two_warps, forgotten_copy), "before its asynchronous copies"));
  CHECK(contains(fault_of(two_warps, odd_copy), "4, 8 or 16 bytes"));
  CHECK(contains(fault_of(two_warps, foreign_collective), "a collective of others"));
}

TEST_CASE("a missing barrier shows in some order of the threads") {
  bool is_wrong = false;
  for (const uint32_t seed : kSeeds) {
    Machine({seed}).run({{1, 1, 1}, {64, 1, 1}}, [&] {
      int* values = shared_array<int, 64>();
      const unsigned t = thread_index().x;
      values[t] = 1;
      if (values[63 - t] != 1) is_wrong = true;  // no barrier: the other may not have come yet
    });
  }
  CHECK(is_wrong);
}
