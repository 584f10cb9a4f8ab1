// The device under what llama.cpp, and programs that are not ours, do with it. The plain CPU is the
// reference.

#include "device/device.h"

#include <thread>

#include "device/cache_buffer.h"
#include "ggml-backend-impl.h"
#include "host.h"

using namespace sightline;
using namespace sightline::test;
using Holder = device::CacheBuffer::Holder;

namespace {

Holder holder(const Host& host) { return device::cache_buffer(host.keys(0))->holder(); }

std::vector<uint16_t> rows_of(const ggml_tensor* tensor, int64_t first, int64_t count) {
  std::vector<uint16_t> halves(static_cast<size_t>(count * tensor->ne[0]));
  ggml_backend_tensor_get(tensor, halves.data(), static_cast<size_t>(first) * tensor->nb[1],
                          halves.size() * sizeof(uint16_t));
  return halves;
}

using test::difference;

double difference(const std::vector<uint16_t>& a, const std::vector<uint16_t>& b) {
  const auto floats = [](const std::vector<uint16_t>& halves) {
    std::vector<float> values(halves.size());
    std::transform(halves.begin(), halves.end(), values.begin(), attention::half_to_float);
    return values;
  };
  return difference(floats(a), floats(b));
}

/// A host on our device and one on the plain CPU, taken through the same steps.
struct Pair {
  Host ours;
  Host reference;
  explicit Pair(TestDevice& device, ggml_type value_type = GGML_TYPE_F16)
      : ours(device.handle(), value_type), reference(cpu_device(), value_type) {}

  double append(int64_t first, int64_t count) {
    REQUIRE(reference.append(first, count) == GGML_STATUS_SUCCESS);
    REQUIRE(ours.append(first, count) == GGML_STATUS_SUCCESS);
    return difference(ours.out, reference.out);
  }

  double step(const std::vector<int64_t>& rows, int64_t end, const Sees& sees) {
    REQUIRE(reference.step(rows, end, sees) == GGML_STATUS_SUCCESS);
    REQUIRE(ours.step(rows, end, sees) == GGML_STATUS_SUCCESS);
    return difference(ours.out, reference.out);
  }

  double cache_difference(int64_t rows) {
    double largest = 0;
    for (int layer = 0; layer < Host::kLayers; layer++) {
      largest = std::max(largest, difference(rows_of(ours.keys(layer), 0, rows),
                                             rows_of(reference.keys(layer), 0, rows)));
      largest = std::max(largest, difference(rows_of(ours.values(layer), 0, rows),
                                             rows_of(reference.values(layer), 0, rows)));
    }
    return largest;
  }
};

// Half an int8 step of elements within [-1, 1], by channel or token.
constexpr double kCoded = 0.5 * 2.0 / 255 + 1e-3;
// Attention averages what coding adds; FP16 accumulation on the CPU adds the rest.
constexpr double kClose = 5e-3;

/// What a context shift does to the keys.
ggml_status shift_keys(Host& host, int32_t by) {
  ggml_tensor* shifts = nullptr;
  const auto build = [&](ggml_context* context, ggml_cgraph* graph) {
    shifts = ggml_new_tensor_1d(context, GGML_TYPE_I32, Host::kRows);
    for (int layer = 0; layer < Host::kLayers; layer++) {
      ggml_tensor* keys = host.keys(layer);
      ggml_tensor* heads = ggml_view_3d(context, keys, Host::kHeadDim, Host::kKvHeads, Host::kRows,
                                        ggml_row_size(keys->type, Host::kHeadDim), keys->nb[1], 0);
      ggml_build_forward_expand(
          graph, ggml_rope_inplace(context, heads, shifts, Host::kHeadDim, GGML_ROPE_TYPE_NEOX));
    }
  };
  const auto fill = [&] { std::fill_n(static_cast<int32_t*>(shifts->data), Host::kRows, by); };
  return host.run(build, fill, [] {});
}

}  // namespace

TEST_CASE("appends and attends as the CPU does") {
  for (const cache::Policy& policy : {kFull, kSelective}) {
    TestDevice device(policy);
    Pair pair(device);
    CHECK(pair.append(0, 300) < kClose);
    for (int64_t row = 300; row < 310; row++) CHECK(pair.append(row, 1) < kClose);
    CHECK(pair.append(310, 290) < kClose);
    CHECK(holder(pair.ours) == Holder::ours);
    CHECK(device.cache().account().tokens == 600);
    CHECK(device.cache().account().coded.empty() == (policy.kind == kFull.kind));
  }
}

TEST_CASE("tensors of a cache of ours have addresses and no memory") {
  constexpr int64_t kMany = int64_t{1} << 28;  // 256 GiB
  TestDevice device;
  const Host host(device.handle(), GGML_TYPE_F16, "", kMany);
  CHECK(holder(host) == Holder::ours);
  CHECK(ggml_backend_buffer_get_size(host.buffer()) ==
        2 * Host::kLayers * kMany * Host::kWidth * sizeof(uint16_t));
  CHECK(device.pool().used() == 0);
}

TEST_CASE("each context has a cache of its own, from one pool") {
  TestDevice device;
  Pair first(device);
  CHECK(first.append(0, 100) < kClose);
  const size_t used = device.pool().used();
  {
    Pair second(device);
    CHECK(second.append(0, 200) < kClose);
    CHECK(device.pool().used() > used);
    CHECK(device.owned_layers() == 2 * Host::kLayers);
  }
  CHECK(device.pool().used() == used);
  CHECK(first.append(100, 1) < kClose);
}

TEST_CASE("contexts may compute at the same time") {
  TestDevice device(kSelective);
  Pair pair(device);
  Host other(device.handle());
  std::thread thread([&] {
    for (int64_t row = 0; row < 400; row += 20) other.append(row, 20);
  });
  for (int64_t row = 0; row < 400; row += 20) CHECK(pair.append(row, 20) < kClose);
  thread.join();
  CHECK(device::cache_buffer(other.keys(0))->length(0) == 400);
}

TEST_CASE("only a context's first cache is ours, and only tensors that it can hold") {
  TestDevice device;
  Host host(device.handle());
  CHECK(holder(host) == Holder::ours);
  const ggml_backend_buffer_t window = host.add_cache(256);
  CHECK(ggml_backend_buffer_get_size(window) >= 4 * 256 * Host::kWidth * sizeof(uint16_t));
  CHECK(ggml_backend_buffer_is_host(window));
  CHECK_FALSE(ggml_backend_buffer_is_host(host.buffer()));

  const Host recurrent(device.handle(), GGML_TYPE_F16, "r_");
  CHECK(device::cache_buffer(recurrent.keys(0)) == nullptr);
  TestDevice other(kFull);
  other.own_cache({kFull, 0, Host::kRows / 2, false});
  const Host longer(other.handle());
  CHECK(device::cache_buffer(longer.keys(0)) == nullptr);
}

TEST_CASE("a cache reads as the FP16 rows that llama.cpp believes it to be") {
  for (const cache::Policy& policy : {kFull, kSelective}) {
    TestDevice device(policy);
    Pair pair(device);
    pair.append(0, 500);
    CHECK(pair.cache_difference(Host::kRows) <= (policy.kind == kFull.kind ? 0 : kCoded));

    // Any stretch of bytes, also through a view.
    const ggml_tensor* keys = pair.ours.keys(1);
    const std::vector<uint16_t> all = rows_of(keys, 0, Host::kRows);
    const ContextPointer context = make_context();
    ggml_tensor* view =
        ggml_view_1d(context.get(), pair.ours.keys(1), 4 * Host::kWidth, 7 * keys->nb[1]);
    REQUIRE(ggml_backend_view_init(view) == GGML_STATUS_SUCCESS);
    std::vector<std::byte> bytes(keys->nb[1] + 3);
    ggml_backend_tensor_get(view, bytes.data(), 5, bytes.size());
    const auto* expected = reinterpret_cast<const std::byte*>(all.data()) + 7 * keys->nb[1] + 5;
    CHECK(std::memcmp(bytes.data(), expected, bytes.size()) == 0);
    CHECK(holder(pair.ours) == Holder::ours);
  }
}

TEST_CASE("a saved state can be restored into a new context") {
  for (const cache::Policy& policy : {kFull, kSelective}) {
    TestDevice device(policy);
    Pair pair(device);
    pair.append(0, 500);
    Host restored(device.handle());
    // llama.cpp asks for a context's operations before anything else; nothing of it is run.
    REQUIRE(restored.append(0, 1) == GGML_STATUS_SUCCESS);
    ggml_backend_buffer_clear(restored.buffer(), 0);
    for (const bool keys : {true, false}) {
      for (int layer = 0; layer < Host::kLayers; layer++) {
        const auto of = [&](const Host& host) {
          return keys ? host.keys(layer) : host.values(layer);
        };
        const std::vector<uint16_t> rows = rows_of(of(pair.ours), 0, 500);
        ggml_backend_tensor_set(of(restored), rows.data(), 0, rows.size() * sizeof(uint16_t));
      }
    }
    CHECK(holder(restored) == Holder::ours);
    REQUIRE(restored.append(500, 3) == GGML_STATUS_SUCCESS);
    pair.append(500, 3);
    CHECK(difference(restored.out, pair.ours.out) < kClose);
  }
}

TEST_CASE("other changes of a cache's contents give it up with all that it held") {
  TestDevice device(kSelective);
  Pair pair(device);
  pair.append(0, 400);
  const std::vector<uint16_t> rows(3 * Host::kWidth, 0x3c00);
  for (Host* host : {&pair.ours, &pair.reference}) {
    ggml_backend_tensor_set(host->keys(1), rows.data(), 10 * host->keys(1)->nb[1],
                            rows.size() * sizeof(uint16_t));
    ggml_backend_tensor_memset(host->values(0), 0, host->values(0)->nb[1], 100);
  }
  CHECK(holder(pair.ours) == Holder::theirs);
  CHECK(pair.cache_difference(Host::kRows) <= kCoded);
  CHECK(pair.append(400, 20) < kClose);
  CHECK(device.pool().used() == 0);
}

TEST_CASE("a context shift gives the cache up and is right") {
  TestDevice device;
  Pair pair(device);
  pair.append(0, 300);
  CHECK(shift_keys(pair.ours, -40) == GGML_STATUS_SUCCESS);
  CHECK(shift_keys(pair.reference, -40) == GGML_STATUS_SUCCESS);
  CHECK(holder(pair.ours) == Holder::theirs);
  CHECK(pair.cache_difference(Host::kRows) == 0);
  CHECK(pair.append(300, 7) < 1e-6);

  ggml_backend_buffer_clear(pair.ours.buffer(), 0);
  ggml_backend_buffer_clear(pair.reference.buffer(), 0);
  CHECK(holder(pair.ours) == Holder::ours);
  CHECK(pair.append(0, 300) < kClose);
}

TEST_CASE("several sequences in one cache give it up and are right") {
  TestDevice device(kSelective);
  Pair pair(device);
  pair.append(0, 200);
  const auto second = [](int64_t i, int64_t j) { return j >= 200 && j <= 200 + i; };
  CHECK(pair.step({200, 201, 202}, 256, second) < kClose);
  CHECK(holder(pair.ours) == Holder::theirs);
  const auto first = [](int64_t, int64_t j) { return j < 200 || j == 203; };
  CHECK(pair.step({203}, 256, first) < kClose);
}

TEST_CASE("cells that are filled again out of order give the cache up and are right") {
  TestDevice device;
  Pair pair(device);
  pair.append(0, 200);
  // Rows 50 to 59 were removed and the later ones stay.
  const auto sees = [](int64_t i, int64_t j) { return j <= 50 + i || (j >= 60 && j < 200); };
  CHECK(pair.step({50, 51}, 256, sees) < kClose);
  CHECK(holder(pair.ours) == Holder::theirs);
  CHECK(pair.step({52, 55}, 256, [](int64_t, int64_t j) { return j < 50; }) < kClose);
}

TEST_CASE("a sequence can be cut anywhere and go on") {
  for (const cache::Policy& policy : {kFull, kSelective}) {
    TestDevice device(policy);
    Pair pair(device);
    pair.append(0, 700);
    for (const int64_t cut : {690, 333, 200, 17, 5, 0}) {
      CHECK(pair.append(cut, 30) < kClose);
      CHECK(pair.append(cut + 30, 1) < kClose);
    }
    CHECK(holder(pair.ours) == Holder::ours);
    CHECK(device.cache().length() == 31);
  }
}

TEST_CASE("tokens that were written over are missed, never made up") {
  TestDevice device;
  Pair pair(device);
  pair.append(0, 200);
  pair.append(50, 1);
  const auto sees_dropped = [](int64_t, int64_t j) { return j <= 51 || (j >= 100 && j < 200); };
  CHECK(pair.ours.step({51}, 256, sees_dropped) == GGML_STATUS_FAILED);
  CHECK(holder(pair.ours) == Holder::theirs);
  CHECK(pair.ours.step({51}, 256, sees_dropped) == GGML_STATUS_FAILED);
  // What does not see them, or writes them first, goes on.
  CHECK(pair.append(51, 60) < kClose);
  const auto sees_rest = [](int64_t, int64_t j) { return j <= 111; };
  CHECK(pair.step({111}, 256, sees_rest) < kClose);
  CHECK(pair.ours.step({112}, 256, [](int64_t, int64_t j) { return j < 200; }) ==
        GGML_STATUS_FAILED);
}

TEST_CASE("attention that is not ours to compute runs on FP16 from the start") {
  SUBCASE("quantised values") {
    TestDevice device(kSelective);
    Pair pair(device, GGML_TYPE_Q8_0);
    CHECK(pair.append(0, 200) < 1e-6);
    CHECK(pair.append(200, 5) < 1e-6);
    CHECK(holder(pair.ours) == Holder::theirs);
  }
  SUBCASE("without flash attention") {
    TestDevice device(kSelective);
    Pair pair(device);
    const auto multiply = [](Host& host) {
      ggml_tensor *queries = nullptr, *product = nullptr;
      std::vector<float> result;
      const auto build = [&](ggml_context* context, ggml_cgraph* graph) {
        queries = ggml_new_tensor_2d(context, GGML_TYPE_F32, Host::kWidth, 2);
        product = ggml_mul_mat(context, host.keys(0), queries);
        ggml_build_forward_expand(graph, product);
      };
      const auto fill = [&] {
        std::fill_n(static_cast<float*>(queries->data), ggml_nelements(queries), 1.0f);
      };
      CHECK(host.run(build, fill, [&] {
        const auto* data = static_cast<const float*>(product->data);
        result.assign(data, data + ggml_nelements(product));
      }) == GGML_STATUS_SUCCESS);
      return result;
    };
    CHECK(difference(multiply(pair.ours), multiply(pair.reference)) == 0);
    CHECK(holder(pair.ours) == Holder::theirs);
    const std::vector<uint16_t> row(Host::kWidth, 0x3c00);
    for (const Host* host : {&pair.ours, &pair.reference})
      ggml_backend_tensor_set(host->keys(0), row.data(), 0, row.size() * sizeof(uint16_t));
    CHECK(multiply(pair.ours)[0] == Host::kWidth);
    CHECK(difference(multiply(pair.ours), multiply(pair.reference)) == 0);
  }
}

TEST_CASE("tokens that the policy dropped are gone for good") {
  TestDevice device(kCompressed);
  Host host(device.handle());
  REQUIRE(host.append(0, 500) == GGML_STATUS_SUCCESS);
  REQUIRE(host.append(500, 1) == GGML_STATUS_SUCCESS);
  CHECK(device.cache().account().dropped_tokens == 384);
  CHECK(rows_of(host.keys(0), 16, 1) == std::vector<uint16_t>(Host::kWidth, 0));
  CHECK(rows_of(host.keys(0), 450, 1) != std::vector<uint16_t>(Host::kWidth, 0));
  REQUIRE(shift_keys(host, -3) == GGML_STATUS_SUCCESS);
  CHECK(host.append(501, 1) == GGML_STATUS_FAILED);
  const auto sees_held = [](int64_t, int64_t j) { return j < 16 || (j >= 400 && j <= 501); };
  CHECK(host.step({501}, 512, sees_held) == GGML_STATUS_SUCCESS);
}

TEST_CASE("in our own program such a graph fails and the cache is as before") {
  TestDevice device(kFull, false);
  Pair pair(device);
  pair.append(0, 200);
  CHECK(shift_keys(pair.ours, -3) == GGML_STATUS_FAILED);
  CHECK(device.failure() == device::Failure::unsupported_operation);
  CHECK(holder(pair.ours) == Holder::ours);
  CHECK(pair.append(200, 5) < kClose);
  CHECK(device.failure() == device::Failure::none);
}

TEST_CASE("the bound holds for all contexts together, and room that is freed can be used") {
  TestDevice device(kFull, true, 1 << 19);
  Host host(device.handle());
  int64_t length = 0;
  while (host.append(length, 50) == GGML_STATUS_SUCCESS) length += 50;
  CHECK(device.failure() == device::Failure::cache_exhausted);
  CHECK(device.pool().used() <= 1 << 19);
  CHECK(length > 300);
  {
    Host other(device.handle());
    CHECK(other.append(0, 200) == GGML_STATUS_ALLOC_FAILED);
  }
  CHECK(host.append(length - 100, 50) == GGML_STATUS_SUCCESS);
  ggml_backend_buffer_clear(host.buffer(), 0);
  CHECK(device.pool().used() == 0);
  CHECK(host.append(0, 200) == GGML_STATUS_SUCCESS);
}

TEST_CASE("without memory to give it up to, a cache is lost until it is cleared") {
  TestDevice device;
  Pair pair(device);
  pair.append(0, 100);
  device::CacheBuffer& buffer = *device::cache_buffer(pair.ours.keys(0));
  ggml_backend_buffer_type none = *ggml_backend_dev_buffer_type(cpu_device());
  none.iface.alloc_buffer = [](ggml_backend_buffer_type_t, size_t) -> ggml_backend_buffer_t {
    return nullptr;
  };
  CHECK_FALSE(buffer.give_up(&none));
  CHECK(holder(pair.ours) == Holder::lost);
  CHECK(pair.ours.append(100, 1) == GGML_STATUS_FAILED);
  CHECK(rows_of(pair.ours.keys(0), 0, 1) == std::vector<uint16_t>(Host::kWidth, 0));
  const std::vector<uint16_t> row(Host::kWidth, 0x3c00);
  ggml_backend_tensor_set(pair.ours.keys(0), row.data(), 0, row.size() * sizeof(uint16_t));
  CHECK(holder(pair.ours) == Holder::lost);
  ggml_backend_buffer_clear(pair.ours.buffer(), 0);
  CHECK(pair.append(0, 100) < kClose);
}
