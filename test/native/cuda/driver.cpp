#include "attention/cuda/driver.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <numeric>
#include <optional>
#include <vector>

#include "attention/cuda/emulator/device.h"
#include "attention/cuda/emulator/driver.h"
#include "attention/cuda/gpu.h"
#include "attention/cuda/upload.h"

using namespace sightline::attention::cuda;
using emulator::EmulatedGpu;

namespace {

constexpr uint32_t kSeeds[] = {0, 1, 2, 3, 4, 5};
constexpr unsigned kCount = 64;

struct Scale {
  int* values;
  int factor, addend;
};

void scale(const void* arguments) {
  const Scale& given = *static_cast<const Scale*>(arguments);
  const unsigned i = block_index().x * 32 + thread_index().x;
  given.values[i] = given.values[i] * given.factor + given.addend;
}

void meet_nobody(const void*) {
  if (thread_index().x == 0) sync_block();
  sync_warp();
}

constexpr emulator::Kernel kKernels[] = {{"scale", sizeof(Scale), scale},
                                         {"meet_nobody", sizeof(Scale), meet_nobody}};

/// A GPU with all that a step takes.
struct Bench {
  EmulatedGpu emulated;
  Gpu gpu;
  Gpu::Current current;
  Kernels kernels;
  Memory memory;
  Stream first, second;

  explicit Bench(uint32_t seed)
      : emulated({.seed = seed, .memory_bytes = 1 << 20, .kernels = kKernels}),
        gpu(emulated.driver(), 0),
        current(gpu),
        kernels(gpu, emulator::kEmulatedImages),
        memory(gpu, kCount * sizeof(int)),
        first(gpu),
        second(gpu) {}

  void scale(Stream& stream, int factor, int addend) {
    kernels.launch("scale", {.grid_x = 2, .threads = 32},
                   Scale{reinterpret_cast<int*>(memory.at()), factor, addend}, stream);
  }
  void write(const std::vector<int>& values, Stream& stream) {
    stream.send(memory.data(), values.data(), memory.bytes());
  }
  std::vector<int> read(Stream& stream) {
    std::vector<int> values(kCount);
    stream.fetch(values.data(), memory.data(), memory.bytes());
    stream.synchronize();
    return values;
  }
};

std::vector<int> counted() {
  std::vector<int> values(kCount);
  std::iota(values.begin(), values.end(), 0);
  return values;
}

DriverStatus status_of(auto&& call) {
  try {
    call();
  } catch (const DriverError& error) {
    return error.status();
  }
  return kSuccess;
}

}  // namespace

TEST_CASE("work of a stream is done in its order, and waits for events of others") {
  for (const uint32_t seed : kSeeds) {
    CAPTURE(seed);
    Bench bench(seed);
    bench.write(counted(), bench.first);
    bench.scale(bench.first, 3, 1);
    Event event(bench.gpu);
    bench.first.record(event.handle());
    bench.second.wait_for(event.handle());
    bench.scale(bench.second, 2, 0);
    const auto values = bench.read(bench.second);
    for (int i = 0; i < static_cast<int>(kCount); i++)
      CHECK(values[static_cast<size_t>(i)] == (3 * i + 1) * 2);
  }
}

TEST_CASE("a forgotten event shows in some order of the streams") {
  bool differs = false;
  for (const uint32_t seed : kSeeds) {
    Bench bench(seed);
    bench.write(counted(), bench.first);
    bench.first.synchronize();
    bench.scale(bench.first, 3, 1);
    bench.scale(bench.second, 2, 0);
    bench.second.synchronize();
    if (bench.read(bench.first)[1] != 8) differs = true;
  }
  CHECK(differs);
}

TEST_CASE("an upload that found no memory leaves room for the next one") {
  Bench bench(0);
  Upload upload(bench.gpu);
  const std::vector<int> values = counted();
  for (const size_t room : {size_t{4096}, size_t{2} << 20, size_t{4096}}) {
    CAPTURE(room);
    const bool fits = room <= 4096;
    CHECK(status_of([&] { upload.start(room); }) == (fits ? kSuccess : kOutOfMemory));
    if (!fits) continue;
    const int* there = upload.put(std::span<const int>(values));
    upload.send(bench.first);
    bench.first.synchronize();
    CHECK(std::equal(values.begin(), values.end(), there));
  }
}

TEST_CASE("what the driver refuses is told with its name") {
  Bench bench(0);
  CHECK(status_of([&] { Memory(bench.gpu, size_t{2} << 20); }) == kOutOfMemory);
  CHECK(status_of([&] {
          const void* const other[] = {"of another GPU"};
          Kernels(bench.gpu, other);
        }) == kNoBinaryForGpu);
  CHECK(status_of([&] { bench.kernels.launch("none", {}, Scale{}, bench.first); }) == kNotFound);
  CHECK(status_of([&] {
          bench.kernels.launch("scale", {.threads = 32, .shared_bytes = size_t{1} << 20}, Scale{},
                               bench.first);
        }) == kInvalidValue);
  CHECK(status_of([&] {
          bench.kernels.launch("scale", {.threads = 2048}, Scale{}, bench.first);
        }) == kInvalidValue);
  try {
    Memory(bench.gpu, size_t{2} << 20);
    FAIL("there is not that much");
  } catch (const DriverError& error) {
    CHECK(std::string(error.what()) == "taking memory of the GPU: CUDA_ERROR_OUT_OF_MEMORY (2)");
  }
}

TEST_CASE("memory given back can be had again") {
  Bench bench(0);
  const size_t free = bench.gpu.memory().free;
  for (int i = 0; i < 3; i++) {
    const Memory most(bench.gpu, free);
    CHECK(bench.gpu.memory().free == 0);
  }
  CHECK(bench.gpu.memory().free == free);
}

TEST_CASE("a kernel that breaks CUDA's rules fails the stream, and the fault is there to read") {
  Bench bench(0);
  bench.kernels.launch("meet_nobody", {.threads = 32}, Scale{}, bench.first);
  CHECK(status_of([&] { bench.first.synchronize(); }) == kLaunchFailed);
  CHECK(bench.emulated.fault().find("never reach") != std::string::npos);
}

TEST_CASE("a machine without the driver is told what to install") {
  const auto found = find_driver();
  if (const auto* missing = std::get_if<NoDriver>(&found)) {
    CHECK(missing->reason.find("Install") != std::string::npos);
  } else {
    MESSAGE("SKIPPED: this machine has the driver");
  }
}
