#include "attention/codec.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "attention/half.h"
#include "attention/reference/reference.h"

using namespace sightline::attention;

namespace {

/// One KV head's block with keys and values stored as halves, and its int8 copy.
struct Coded {
  int head_dim;
  std::vector<std::byte> fp16, int8;
  Block block;

  Coded(int head_dim, const std::vector<float>& k, const std::vector<float>& v)
      : head_dim(head_dim),
        fp16(part_bytes(Format::fp16, head_dim, kBlockTokens)),
        int8(part_bytes(Format::int8, head_dim, kBlockTokens)) {
    const auto stride = static_cast<size_t>(head_dim);
    store_keys(fp16.data(), head_dim, kBlockTokens, 0, {k.data(), stride, kBlockTokens});
    store_values(fp16.data(), head_dim, kBlockTokens, 0, {v.data(), stride, kBlockTokens});
    code_keys_int8(fp16.data(), int8.data(), head_dim);
    code_values_int8(fp16.data(), int8.data(), head_dim);
    block = {fp16.data(), int8.data(), 0, kBlockTokens, kBlockTokens, 0};
  }
};

std::vector<float> random_rows(int head_dim, uint32_t seed, auto&& shape) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> rows(static_cast<size_t>(head_dim) * kBlockTokens);
  for (size_t i = 0; i < rows.size(); i++)
    rows[i] = shape(normal(random), static_cast<int>(i) / head_dim, static_cast<int>(i) % head_dim);
  return rows;
}

void check_bounds(const Coded& coded) {
  const int d = coded.head_dim;
  for (int c = 0; c < d; c++) {
    double low = 1e30, high = -1e30, largest = 0;
    for (int t = 0; t < kBlockTokens; t++) {
      const double k = key_at(coded.block, false, 0, d, t, c);
      low = std::min(low, k);
      high = std::max(high, k);
      largest = std::max(largest, std::fabs(k));
    }
    // Half a step; the step and the zero point are halves rounded outwards, which widens the range
    // by up to one half at its low end and each step by up to 2^-10 of it.
    const double zero_slack = std::max(largest * 0x1p-10, 0x1p-24);
    const double step = (high - low + zero_slack) / 255 * (1 + 0x1p-9) + 0x1p-24;
    for (int t = 0; t < kBlockTokens; t++) {
      const double error =
          key_at(coded.block, true, 0, d, t, c) - key_at(coded.block, false, 0, d, t, c);
      REQUIRE(std::fabs(error) <= step / 2 * (1 + 1e-5));
    }
  }
  for (int t = 0; t < kBlockTokens; t++) {
    double largest = 0;
    for (int c = 0; c < d; c++)
      largest = std::max(largest, std::fabs(value_at(coded.block, false, 0, d, t, c)));
    const double step = largest / 127 * (1 + 0x1p-9) + 0x1p-24;
    for (int c = 0; c < d; c++) {
      const double error =
          value_at(coded.block, true, 0, d, t, c) - value_at(coded.block, false, 0, d, t, c);
      REQUIRE(std::fabs(error) <= step / 2 * (1 + 1e-5));
    }
  }
}

}  // namespace

TEST_CASE("stored rows come back as their halves") {
  const int d = 80;
  const auto k = random_rows(d, 1, [](float x, int, int) { return x; });
  const auto v = random_rows(d, 2, [](float x, int, int) { return 3 * x; });
  const Coded coded(d, k, v);
  for (int t = 0; t < kBlockTokens; t++) {
    for (int c = 0; c < d; c++) {
      const size_t i = static_cast<size_t>(t * d + c);
      REQUIRE(key_at(coded.block, false, 0, d, t, c) == half_to_float(float_to_half(k[i])));
      REQUIRE(value_at(coded.block, false, 0, d, t, c) == half_to_float(float_to_half(v[i])));
    }
  }
}

TEST_CASE("int8 stays within half a step") {
  for (const int d : {16, 64, 80, 96, 128, 256}) {
    CAPTURE(d);
    const auto plain = [](float x, int, int) { return x; };
    // a few channels with the offset and the spread that key biases give them
    const auto outliers = [](float x, int, int c) { return c % 7 == 3 ? 300.0f + 20 * x : x; };
    const auto tiny = [](float x, int, int) { return x * 1e-7f; };
    const auto constant = [](float, int, int c) { return c % 2 == 0 ? 0.0f : -7.3f; };
    const auto one_large = [](float x, int t, int c) { return t == 5 && c == 3 ? 6e4f : x; };
    check_bounds(Coded(d, random_rows(d, 1, plain), random_rows(d, 2, plain)));
    check_bounds(Coded(d, random_rows(d, 3, outliers), random_rows(d, 4, outliers)));
    check_bounds(Coded(d, random_rows(d, 5, tiny), random_rows(d, 6, tiny)));
    check_bounds(Coded(d, random_rows(d, 7, constant), random_rows(d, 8, constant)));
    check_bounds(Coded(d, random_rows(d, 9, one_large), random_rows(d, 10, one_large)));
  }
}

TEST_CASE("elements beyond halves saturate, and NaN stays where it is") {
  const int d = 16;
  const auto wild = random_rows(d, 1, [](float x, int t, int c) {
    if (c == 3) return t == 0 ? INFINITY : 1e30f;
    if (c == 5) return t == 7 ? NAN : x;
    return x;
  });
  const Coded coded(d, wild, wild);
  CHECK(key_at(coded.block, false, 0, d, 0, 3) == 65504.0);
  CHECK(key_at(coded.block, true, 0, d, 1, 3) == doctest::Approx(65504.0));
  CHECK(std::isnan(key_at(coded.block, false, 0, d, 7, 5)));
  CHECK(key_at(coded.block, true, 0, d, 9, 4) ==
        doctest::Approx(key_at(coded.block, false, 0, d, 9, 4)).epsilon(0.05));
}

TEST_CASE("the int8 format is these bytes") {
  // Channel c holds c + t / 127: zero point c, step 1 / 255 rounded up to a half.
  const int d = 16;
  const auto ramp = random_rows(d, 0, [](float, int t, int c) {
    return static_cast<float>(c) + static_cast<float>(t) / 127.0f;
  });
  const Coded coded(d, ramp, ramp);
  const Int8Layout layout(d, kBlockTokens);
  CHECK(layout.bytes == size_t{2 * 16 * 128 + 2 * (16 + 16 + 128)});
  const auto* bytes = reinterpret_cast<const uint8_t*>(coded.int8.data());
  const auto half_at = [&](size_t offset, int i) {
    return static_cast<int>(bytes[offset + 2 * static_cast<size_t>(i)] |
                            bytes[offset + 2 * static_cast<size_t>(i) + 1] << 8);
  };
  CHECK(half_at(layout.k_zero, 0) == 0x0000);
  CHECK(half_at(layout.k_zero, 1) == 0x3c00);
  CHECK(half_at(layout.k_zero, 3) == 0x4200);
  CHECK(half_at(layout.k_scale, 0) == 0x1c05);  // 1 / 255 = 0x1c04.04
  CHECK(bytes[layout.k] == 0);
  CHECK(bytes[layout.k + 127] == 255);
  CHECK(bytes[layout.k + 64] == 128);
  const auto* values = reinterpret_cast<const int8_t*>(bytes + layout.v);
  CHECK(values[15] == 127);                     // token 0: largest is 15
  CHECK(values[1] == 8);                        // 1 / (15 / 127)
  CHECK(half_at(layout.v_scale, 0) == 0x2f90);  // 15 / 127 = 0x2f8f.1d, rounded up
}
