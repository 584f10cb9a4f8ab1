// The device over a GPU: ggml's CUDA device is stood in for, the GPU is the emulator's.

#include "../stand_in/cuda_device.h"
#include "attention/cuda/emulator/kernels.h"
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

double difference(const std::vector<float>& a, const std::vector<float>& b) {
  REQUIRE(a.size() == b.size());
  double largest = 0;
  for (size_t i = 0; i < a.size(); i++) {
    REQUIRE(std::isfinite(a[i]));
    largest = std::max<double>(largest, std::fabs(a[i] - b[i]));
  }
  return largest;
}

cache::Policy with_tier(const char* tier) {
  cache::Policy policy = kSelective;
  policy.tier = *attention::tier_named(tier);
  return policy;
}

// As for the kernels by themselves (cuda/attend.cpp).
constexpr double kTolerance = 4e-3;

}  // namespace

TEST_CASE("a GPU gives what the CPU gives, for every policy that codes") {
  const std::pair<const char*, cache::Policy> policies[] = {
      {"full", kFull},
      {"int8", kSelective},
      {"k8v4", with_tier("k8v4")},
      {"int4", with_tier("int4")},
      {"fp8", with_tier("fp8")},
      {"hierarchical", policy(cache::PolicyKind::hierarchical)},
      {"compressed", kCompressed}};
  uint32_t seed = 0;
  for (const auto& [name, chosen] : policies) {
    CAPTURE(name);
    GpuDevice gpu(chosen, seed++ % 6);
    TestDevice cpu(chosen, false);
    Host ours(gpu.device.handle()), reference(cpu.handle());
    const auto append = [&](int64_t first, int64_t count) {
      REQUIRE(reference.append(first, count) == GGML_STATUS_SUCCESS);
      REQUIRE(ours.append(first, count) == GGML_STATUS_SUCCESS);
      return difference(ours.out, reference.out);
    };
    CHECK(append(0, 300) < kTolerance);
    for (int64_t token = 300; token < 304; token++) CHECK(append(token, 1) < kTolerance);
    CHECK(append(304, 130) < kTolerance);
    CHECK(append(434, 1) < kTolerance);
    CHECK(gpu.device.cache().account() == cpu.cache().account());
  }
}
