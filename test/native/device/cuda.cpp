// The device over a GPU: ggml's CUDA device is stood in for, the GPU is the emulator's.

#include "../cache/policies.h"
#include "../stand_in/cuda_device.h"
#include "attention/cuda/emulator/kernels.h"
#include "attention/format/format.h"
#include "cache/gpu_memory.h"
#include "host.h"

using namespace sightline;
using namespace sightline::test;
namespace emulator = attention::cuda::emulator;

namespace {

constexpr size_t kGpuBytes = size_t{256} << 20;

/// A GPU with ggml's device and ours on it.
struct GpuDevice {
  emulator::EmulatedGpu gpu;
  CudaDevice inner;
  device::Device device;

  explicit GpuDevice(const cache::Policy& policy, uint32_t seed = 0, size_t bytes = kGpuBytes)
      : gpu({.seed = seed, .memory_bytes = bytes, .kernels = emulator::kernels()}),
        inner(gpu, cpu_device()),
        device(inner.handle(), {&gpu.driver(), 0, emulator::kEmulatedImages}) {
    device.own_cache({policy, 0, device::kAnyCapacity, false});
  }
};

cache::Policy with_tier(const char* tier) {
  cache::Policy policy = kSelective;
  policy.tier = *attention::tier_named(tier);
  return policy;
}

// As for the kernels by themselves (cuda/attend.cpp), and what the CPU's kernels round besides.
constexpr double kTolerance = 6e-3;

}  // namespace

TEST_CASE("a GPU gives what the CPU gives, whatever the policy") {
  std::vector<cache::Policy> all = policies();
  all.push_back(with_tier("k8v4"));
  all.push_back(with_tier("fp8"));
  uint32_t seed = 0;
  for (const cache::Policy& chosen : all) {
    if (chosen.kind == cache::PolicyKind::lowrank) continue;
    CAPTURE(cache::name_of(chosen.kind));
    CAPTURE(seed);
    GpuDevice gpu(chosen, seed++ % 6);
    TestDevice cpu(chosen, false);
    Host ours(gpu.device.handle()), reference(cpu.handle());
    int64_t length = 0;
    const auto append = [&](int64_t count) {
      double largest = 0;
      for (const int64_t end = length + count; length < end;) {
        const int64_t step = std::min<int64_t>(end - length, cpu.cache().step_limit());
        REQUIRE(reference.append(length, step) == GGML_STATUS_SUCCESS);
        REQUIRE(ours.append(length, step) == GGML_STATUS_SUCCESS);
        largest = std::max(largest, difference(ours.out, reference.out));
        length += step;
      }
      return largest;
    };
    CHECK(append(300) < kTolerance);
    for (int i = 0; i < 3; i++) CHECK(append(1) < kTolerance);
    CHECK(append(130) < kTolerance);
    CHECK(gpu.device.cache().account() == cpu.cache().account());
    // Cut inside a block, whose rest is FP16 again, and on from there.
    length = cpu.cache().truncate(333, cache::Rollback::reopen);
    CHECK(gpu.device.cache().truncate(333, cache::Rollback::reopen) == length);
    CHECK(append(40) < kTolerance);
    CHECK(gpu.device.cache().account() == cpu.cache().account());
  }
}

TEST_CASE("a copy brought to a GPU comes back as it was, from wherever it was moved to") {
  constexpr cache::Geometry kGeometry{2, 80};
  emulator::EmulatedGpu gpu({.seed = 3, .memory_bytes = 64 << 20, .kernels = emulator::kernels()});
  attention::cuda::Launcher launcher({&gpu.driver(), 0, emulator::kEmulatedImages});
  cache::GpuMemory memory(launcher);
  cache::Pool pool;
  for (const char* name : {"fp16", "fp8", "int8", "k8v4", "int4", "k4v2"}) {
    CAPTURE(std::string(name));
    attention::Copy copy{.tier = *attention::tier_named(name), .capacity = 128, .tokens = 128};
    std::vector<std::byte> bytes(cache::slot_bytes(kGeometry, copy));
    for (size_t i = 0; i < bytes.size(); i++) bytes[i] = static_cast<std::byte>(i * 31 % 251);
    copy.data = bytes.data();

    std::byte* slot = pool.allocate(bytes.size(), memory);
    std::byte* other = pool.allocate(bytes.size(), memory);
    REQUIRE((slot != nullptr && other != nullptr));
    memory.bring(kGeometry, copy, slot);
    memory.copy(other, slot, bytes.size());
    pool.release(slot, bytes.size());
    std::vector<std::byte> room;
    const attention::Copy back =
        memory.local(kGeometry, cache::moved_to(kGeometry, copy, other), room);
    CHECK(std::equal(bytes.begin(), bytes.end(), back.data));
    pool.release(other, bytes.size());
  }
  CHECK(pool.reserved() == 0);
  CHECK(memory.take(size_t{1} << 30) == nullptr);  // more than there is
}

TEST_CASE("sequences of a GPU share blocks until one appends to them") {
  GpuDevice gpu(kFull);
  Host host(gpu.device.handle());
  REQUIRE(host.append(0, 200) == GGML_STATUS_SUCCESS);
  const auto fork = gpu.device.cache().fork();
  const auto rows = [&](const cache::Sequence& sequence) {
    std::vector<std::byte> all, room;
    const cache::Geometry geometry = sequence.layer(0).geometry();
    for (const attention::Block& block : sequence.blocks(0)) {
      const attention::Copy local =
          sequence.layer(0).memory().local(geometry, block.copies[0], room);
      all.insert(all.end(), local.data, local.data + cache::slot_bytes(geometry, local));
    }
    return all;
  };
  const auto before = rows(*fork);
  CHECK(rows(gpu.device.cache()) == before);
  CHECK(fork->shared_bytes() == fork->account().bytes());
  REQUIRE(host.append(200, 3) == GGML_STATUS_SUCCESS);
  CHECK(fork->shared_bytes() < fork->account().bytes());
  CHECK(rows(*fork) == before);
  CHECK(rows(gpu.device.cache()) != before);
}

TEST_CASE("a step only fills queues: the program waits for nothing in it") {
  GpuDevice gpu(kSelective);
  Host host(gpu.device.handle());
  REQUIRE(host.append(0, 200) == GGML_STATUS_SUCCESS);
  for (int64_t token = 200; token < 203; token++) {
    int done = 0;
    host.around_compute = [&](bool before) {
      if (before) {
        done = gpu.gpu.done();
      } else {
        CHECK(gpu.gpu.done() == done);
      }
    };
    REQUIRE(host.append(token, 1) == GGML_STATUS_SUCCESS);
    CHECK(gpu.gpu.done() > done);
  }
}
