#include "attention/format/format.h"

#include <doctest/doctest.h>

#include <functional>

#include "attention/format/fp8.h"
#include "attention/format/int2.h"
#include "attention/format/int4.h"
#include "attention/format/int8.h"
#include "attention/format/lowrank.h"
#include "attention/format/rotation.h"
#include "attention/reference/reference.h"
#include "fixture.h"

using namespace sightline::attention;

namespace {

using Shape3 = std::function<float(float normal, int token, int channel)>;

const std::vector<std::pair<std::string, Shape3>> kShapes = {
    {"normal", [](float x, int, int) { return x; }},
    // a few channels with the offset and the spread that key biases give them
    {"outlier channels", [](float x, int, int c) { return c % 7 == 3 ? 300.0f + 20 * x : x; }},
    {"denormals", [](float x, int, int) { return x * 1e-7f; }},
    {"constant", [](float, int, int c) { return c % 2 == 0 ? 0.0f : -7.3f; }},
    {"one large", [](float x, int t, int c) { return t == 5 && c == 3 ? 6e4f : x; }},
    {"largest halves", [](float x, int, int) { return x > 0 ? 65504.0f : -65504.0f; }},
};

struct Sample {
  Extent extent;
  std::vector<uint16_t> k, v;

  Sample(Extent wanted, const Shape3& shape) : extent(wanted) {
    std::mt19937 random(1);
    std::normal_distribution<float> normal;
    // what lies beyond the tokens held is never looked at
    k.assign(area(extent.head_dim, extent.capacity), 0x7e00);
    v = k;
    for (int t = 0; t < extent.tokens; t++) {
      for (int c = 0; c < extent.head_dim; c++) {
        k[key_index(extent, t, c)] =
            float_to_half(std::clamp(shape(normal(random), t, c), -65504.0f, 65504.0f));
        v[value_index(extent, t, c)] =
            float_to_half(std::clamp(shape(normal(random), t, c), -65504.0f, 65504.0f));
      }
    }
  }
  double key(int t, int c) const { return half_to_float(k[key_index(extent, t, c)]); }
  double value(int t, int c) const { return half_to_float(v[value_index(extent, t, c)]); }
};

/// A copy of one KV head in a tier.
struct Held {
  std::vector<std::byte> part;
  Copy copy;

  Held(Tier tier, const Sample& sample)
      : part(test::encode(tier, sample.k, sample.v, sample.extent)) {
    copy = {.data = part.data(),
            .tier = tier,
            .rank = static_cast<int16_t>(sample.extent.rank),
            .capacity = sample.extent.capacity,
            .tokens = sample.extent.tokens};
  }
  double key(int t, int c) const { return key_at(copy, 0, head_dim(), t, c); }
  double value(int t, int c) const { return value_at(copy, 0, head_dim(), t, c); }
  int head_dim() const { return dim; }
  int dim = 0;
};

Held held(Tier tier, const Sample& sample) {
  Held result(tier, sample);
  result.dim = sample.extent.head_dim;
  return result;
}

struct Range {
  double low = 1e30, high = -1e30;
  void add(double x) {
    low = std::min(low, x);
    high = std::max(high, x);
  }
  double largest() const { return std::max(std::fabs(low), std::fabs(high)); }
};

/// The largest error of a grid over a range: half a step. The zero point and the step are halves
/// rounded outwards, which widens the range by up to one half at its low end and each step by up to
/// 2^-10 of it; both may be subnormal.
double half_step(const Range& range, int largest_code) {
  const double slack = std::max(range.largest() * 0x1p-10, 0x1p-24);
  const double step = (range.high - range.low + slack) / largest_code * (1 + 0x1p-9) + 0x1p-24;
  return step / 2 * (1 + 1e-4);
}

const std::vector<Extent> kExtents = {{16, 128, 128}, {64, 128, 128},  {80, 128, 128},
                                      {96, 48, 41},   {128, 128, 128}, {256, 16, 1}};

void each_sample(auto&& visit) {
  for (const Extent& extent : kExtents) {
    for (const auto& named : kShapes) {
      CAPTURE(named.first);
      CAPTURE(extent.head_dim);
      CAPTURE(extent.tokens);
      visit(Sample(extent, named.second));
    }
  }
}

}  // namespace

TEST_CASE("fp16 holds halves as they are") {
  each_sample([](const Sample& sample) {
    const Held copy = held({}, sample);
    for (int t = 0; t < sample.extent.tokens; t++)
      for (int c = 0; c < sample.extent.head_dim; c++) {
        REQUIRE(copy.key(t, c) == sample.key(t, c));
        REQUIRE(copy.value(t, c) == sample.value(t, c));
      }
  });
}

TEST_CASE("stored rows come back as their halves, and what is beyond halves saturates") {
  const Extent extent{16, 16, 2};
  std::vector<uint16_t> k(256), v(256);
  std::vector<float> rows(32, 0.1f);
  rows[3] = INFINITY;
  rows[16 + 5] = -1e30f;
  rows[7] = NAN;
  store_keys(k.data(), extent, 0, {rows.data(), 16, 2});
  store_values(v.data(), extent, 0, {rows.data(), 16, 2});
  CHECK(k[key_index(extent, 0, 0)] == float_to_half(0.1f));
  CHECK(k[key_index(extent, 0, 3)] == 0x7bff);
  CHECK(v[value_index(extent, 1, 5)] == 0xfbff);
  CHECK(std::isnan(half_to_float(v[value_index(extent, 0, 7)])));
}

TEST_CASE("int8 stays within half a step") {
  each_sample([](const Sample& sample) {
    const Held copy = held(test::kInt8, sample);
    for (int c = 0; c < sample.extent.head_dim; c++) {
      Range range;
      for (int t = 0; t < sample.extent.tokens; t++) range.add(sample.key(t, c));
      for (int t = 0; t < sample.extent.tokens; t++)
        REQUIRE(std::fabs(copy.key(t, c) - sample.key(t, c)) <= half_step(range, 255));
    }
    for (int t = 0; t < sample.extent.tokens; t++) {
      Range range;
      for (int c = 0; c < sample.extent.head_dim; c++) range.add(sample.value(t, c));
      const double step = range.largest() / 127 * (1 + 0x1p-9) + 0x1p-24;
      for (int c = 0; c < sample.extent.head_dim; c++)
        REQUIRE(std::fabs(copy.value(t, c) - sample.value(t, c)) <= step / 2 * (1 + 1e-4));
    }
  });
}

TEST_CASE("int4 and int2 have at most the squared error of grids over the whole range") {
  each_sample([](const Sample& sample) {
    const Extent& e = sample.extent;
    const Held four = held({Format::int4, Format::int4}, sample);
    const Held two = held({Format::int4, Format::int2}, sample);
    // A token's group of what is coded: for keys the rotation of the rest, which has the same norm.
    const auto check = [&](bool keys, const Held& copy, int group, int largest_code) {
      const auto element = [&](int t, int c) {
        return keys ? sample.key(t, c) : sample.value(t, c);
      };
      std::vector<double> mean(static_cast<size_t>(e.head_dim));
      for (int c = 0; c < e.head_dim; c++)
        for (int t = 0; t < e.tokens; t++) mean[static_cast<size_t>(c)] += element(t, c) / e.tokens;
      for (int t = 0; t < e.tokens; t++) {
        std::vector<double> rest(mean.size());
        double largest = 0, error = 0, bound = 0;
        for (int c = 0; c < e.head_dim; c++) {
          const double m =
              half_to_float(float_to_half(static_cast<float>(mean[static_cast<size_t>(c)])));
          largest = std::max({largest, std::fabs(m), std::fabs(element(t, c))});
          rest[static_cast<size_t>(c)] = element(t, c) - m;
          const double read = keys ? copy.key(t, c) : copy.value(t, c);
          REQUIRE(std::isfinite(read));
          error += std::pow(read - element(t, c), 2);
        }
        if (largest > 1e4) continue;  // rotated, some are beyond halves and saturate
        if (keys) rotate(rest.data(), e.head_dim);
        for (int g = 0; g < e.head_dim; g += group) {
          Range range;
          for (int c = g; c < g + group; c++) range.add(rest[static_cast<size_t>(c)]);
          bound += group * std::pow(half_step(range, largest_code), 2);
        }
        // The mean may be rounded the other way than here.
        bound += e.head_dim * std::pow(largest * 0x1p-9 + 0x1p-24, 2);
        REQUIRE(error <= bound * (1 + 1e-3));
      }
    };
    check(true, four, int4_group(e.head_dim), 15);
    check(false, four, int4_group(e.head_dim), 15);
    check(false, two, int2_group(e.head_dim), 3);
  });
}

TEST_CASE("refitting a grid lowers the error of grids over the whole range") {
  const Extent extent{64, 128, 128};
  const Sample sample(extent, kShapes[0].second);
  const Held copy = held({Format::int4, Format::int2}, sample);
  double error = 0, covering = 0;
  for (int t = 0; t < 128; t++) {
    Range range;
    for (int c = 0; c < 64; c++) range.add(sample.value(t, c));
    for (int c = 0; c < 64; c++) {
      error += std::pow(copy.value(t, c) - sample.value(t, c), 2);
      const double step = (range.high - range.low) / 3;
      const double code = std::nearbyint((sample.value(t, c) - range.low) / step);
      covering += std::pow(range.low + step * code - sample.value(t, c), 2);
    }
  }
  CHECK(error < 0.8 * covering);
}

TEST_CASE("an offset of channels costs int4 keys nothing, nor does an outlier channel all others") {
  const Extent extent{64, 128, 128};
  const auto error_of = [&](const Shape3& shape) {
    const Sample sample(extent, shape);
    const Held copy = held({Format::int4, Format::int4}, sample);
    double error = 0;
    for (int t = 0; t < 128; t++)
      for (int c = 1; c < 64; c++) error += std::pow(copy.key(t, c) - sample.key(t, c), 2);
    return error;
  };
  const double plain = error_of(kShapes[0].second);
  CHECK(error_of([](float x, int, int c) { return c % 5 == 0 ? x + 60.0f : x; }) < 1.1 * plain);
  // Rotated, one channel of ten times the spread widens every grid by about twice, not ten times.
  CHECK(error_of([](float x, int, int c) { return c == 0 ? 10 * x : x; }) < 6 * plain);
}

TEST_CASE("fp8 stays within half a unit in the last place") {
  each_sample([](const Sample& sample) {
    const Held copy = held({Format::fp8, Format::fp8}, sample);
    Range keys;
    for (int t = 0; t < sample.extent.tokens; t++)
      for (int c = 0; c < sample.extent.head_dim; c++) keys.add(sample.key(t, c));
    const double scale = keys.largest() / kLargestE4m3 * (1 + 0x1p-9) + 0x1p-24;
    for (int t = 0; t < sample.extent.tokens; t++)
      for (int c = 0; c < sample.extent.head_dim; c++) {
        const double bound = std::max(std::fabs(sample.key(t, c)) * 0x1p-4, 0x1p-10 * scale);
        REQUIRE(std::fabs(copy.key(t, c) - sample.key(t, c)) <= bound * (1 + 1e-4));
      }
  });
}

TEST_CASE("e4m3 codes are what the format says") {
  CHECK(e4m3_to_float(0x38) == 1.0f);
  CHECK(e4m3_to_float(0x7e) == 448.0f);
  CHECK(e4m3_to_float(0x01) == 0x1p-9f);
  CHECK(e4m3_to_float(0xb8) == -1.0f);
  for (int code = 0; code < 256; code++)
    if ((code & 0x7f) != 0x7f)
      REQUIRE(float_to_e4m3(e4m3_to_float(static_cast<uint8_t>(code))) == code);
  CHECK(float_to_e4m3(1e9f) == 0x7e);
  CHECK(float_to_e4m3(1.0625f) == 0x38);  // a tie goes to even
  CHECK(float_to_e4m3(1.1875f) == 0x3a);
}

TEST_CASE("lowrank keeps keys of that rank exactly, and of others the largest part") {
  const Extent extent{64, 128, 128, 8};
  Sample sample(extent, [](float x, int, int) { return x; });
  std::mt19937 random(3);
  std::normal_distribution<float> normal;
  std::vector<float> left(128 * 4), right(4 * 64);
  for (float& x : left) x = normal(random);
  for (float& x : right) x = normal(random);
  for (int t = 0; t < 128; t++)
    for (int c = 0; c < 64; c++) {
      float sum = 0;
      for (int r = 0; r < 4; r++)
        sum += left[static_cast<size_t>(t * 4 + r)] * right[static_cast<size_t>(r * 64 + c)];
      sample.k[key_index(extent, t, c)] = float_to_half(sum);
    }
  CHECK(rank_for_energy(sample.k.data(), extent, 0.999999) == 4);
  const Held copy = held({Format::lowrank, Format::fp16}, sample);
  for (int t = 0; t < 128; t++)
    for (int c = 0; c < 64; c++) REQUIRE(std::fabs(copy.key(t, c) - sample.key(t, c)) < 0.02);

  const Sample noise(extent, [](float x, int, int) { return x; });
  const int rank = rank_for_energy(noise.k.data(), extent, 0.5);
  CHECK(rank > 8);
  CHECK(rank < 32);
  CHECK(rank_for_energy(noise.k.data(), extent, 1.0) == 64);
}

TEST_CASE("decoding gives the elements that the reference reads, as halves") {
  for (const Tier tier : test::all_tiers()) {
    CAPTURE(name_of(tier));
    for (Extent extent : kExtents) {
      if (tier.k == Format::lowrank) extent.rank = 12;
      const Sample sample(extent, kShapes[0].second);
      const Held copy = held(tier, sample);
      std::vector<uint16_t> k(sample.k.size()), v(sample.v.size());
      decode_keys(tier.k, copy.part.data(), k.data(), extent);
      decode_values(tier.v, copy.part.data() + values_offset(tier, extent), v.data(), extent);
      double excess = -INFINITY;  // over what rounding to halves may move an element
      const auto compare = [&](uint16_t half, double element) {
        const double moved = std::fabs(half_to_float(half) - element);
        excess = std::max(excess, moved - std::fabs(element) * 0x1p-10 - 0x1p-24);
        if (!std::isfinite(moved)) excess = INFINITY;
      };
      for (int t = 0; t < extent.tokens; t++)
        for (int c = 0; c < extent.head_dim; c++) {
          compare(k[key_index(extent, t, c)], copy.key(t, c));
          compare(v[value_index(extent, t, c)], copy.value(t, c));
        }
      REQUIRE(excess <= 0);
    }
  }
}

TEST_CASE("the formats are these bytes") {
  // Channel c holds c + t / 127: zero point c, step 1 / 255 rounded up to a half.
  const Extent extent{16, 128, 128};
  const Sample ramp(extent, [](float, int t, int c) {
    return static_cast<float>(c) + static_cast<float>(t) / 127.0f;
  });
  const auto halves = [](const std::byte* data, int i) {
    return static_cast<int>(at_offset<uint16_t>(data, 0)[i]);
  };
  const auto bytes = [](const std::byte* data, size_t i) { return std::to_integer<int>(data[i]); };

  const Held eight = held(test::kInt8, ramp);
  const Int8Keys k8(extent);
  const std::byte* k = eight.part.data();
  CHECK(k8.bytes == size_t{16 * 128 + 64});
  CHECK(halves(k + k8.zero, 0) == 0x0000);
  CHECK(halves(k + k8.zero, 1) == 0x3c00);
  CHECK(halves(k + k8.zero, 3) == 0x4200);
  CHECK(halves(k + k8.scale, 0) == 0x1c05);  // 1 / 255 = 0x1c04.04
  CHECK(bytes(k + k8.codes, 0) == 0);
  CHECK(bytes(k + k8.codes, (7 * 4 * 16 + 15) * 4) == 255);  // token 127, channel 0
  CHECK(bytes(k + k8.codes, 4 * 4 * 16 * 4) == 128);         // token 64, channel 0
  const std::byte* v = k + values_offset(test::kInt8, extent);
  const Int8Values v8(extent);
  CHECK(halves(v + v8.scale, 0) == 0x2f90);         // 15 / 127 = 0x2f8f.1d, rounded up
  CHECK(bytes(v + v8.codes, 15 * 4) == 128 + 127);  // token 0, channel 15
  CHECK(bytes(v + v8.codes, 1 * 4) == 128 + 8);     // 1 / (15 / 127)

  // Two tokens that differ by 2 in channel 0 alone: mean c + 1 or c, rest -1 and 1. Rotated, that
  // is the same in all channels: -1/4 and 1/4, a grid of one point.
  const Extent two_tokens{16, 16, 2};
  const Sample pair(two_tokens, [](float, int t, int c) {
    return static_cast<float>(c) + (c == 0 ? 2.0f * static_cast<float>(t) : 0.0f);
  });
  const Held four = held({Format::int4, Format::int2}, pair);
  const GroupedLayout k4 = int4_layout(two_tokens);
  const std::byte* k4_part = four.part.data();
  CHECK(k4.bytes == size_t{128 + 16 * 16 / 2});  // mean, scale and zero take 96 of 128 bytes
  CHECK(halves(k4_part + k4.mean, 0) == 0x3c00);
  CHECK(halves(k4_part + k4.mean, 3) == 0x4200);
  CHECK(halves(k4_part + k4.zero, 0) == 0xb400);
  CHECK(halves(k4_part + k4.zero, 1) == 0x3400);
  CHECK(bytes(k4_part + k4.codes, 0) == 0x00);

  // Values are not rotated: only channel 0 has a rest, -1 and 1, the others' being 0.
  const std::byte* v2_part = k4_part + values_offset({Format::int4, Format::int2}, two_tokens);
  const GroupedLayout v2 = int2_layout(two_tokens);
  CHECK(halves(v2_part + v2.zero, 0) == 0xbc00);
  CHECK(halves(v2_part + v2.zero, 1) == 0x0000);
  CHECK(bytes(v2_part + v2.codes, 0) == 0x00);      // token 0, channel 0
  CHECK(bytes(v2_part + v2.codes, 1) == 0x03);      // token 1, channel 0
  CHECK(bytes(v2_part + v2.codes, 4) == 0x03);      // token 0, channel 1
  CHECK(bytes(v2_part + v2.codes, 4 + 1) == 0x00);  // token 1, channel 1
}

TEST_CASE("bits an element, metadata included") {
  const auto bits = [](Tier tier, int head_dim) {
    const Extent extent{head_dim, kBlockTokens, kBlockTokens};
    return 8.0 * static_cast<double>(part_bytes(tier, extent)) / (2.0 * head_dim * kBlockTokens);
  };
  const auto tier = [](std::string_view name) { return *tier_named(name); };
  CHECK(bits(tier("fp16"), 64) == 16.0);
  CHECK(bits(tier("int8"), 64) == 8.25);
  CHECK(bits(tier("int8"), 128) == 8.1875);
  CHECK(bits(tier("k8v4"), 64) == 6.4375);
  CHECK(bits(tier("k8v4"), 128) == 6.3125);
  CHECK(bits(tier("int4"), 64) == 4.625);
  CHECK(bits(tier("int4"), 128) == 4.375);
  CHECK(bits(tier("k4v2"), 64) == 3.625);
  CHECK(bits(tier("fp8"), 64) < 8.1);
}

TEST_CASE("names of formats and tiers") {
  for (const std::string_view name : {"fp16", "fp8", "int8", "k8v4", "int4", "k4v2"})
    CHECK(name_of(*tier_named(name)) == name);
  CHECK_FALSE(tier_named("int3").has_value());
  CHECK(format_named("lowrank") == Format::lowrank);
  CHECK_FALSE(format_named("k8v4").has_value());
  CHECK(name_of(Tier{Format::fp16, Format::int4}) == "fp16-int4");
  CHECK_FALSE(stores_keys(Format::int2));
  CHECK_FALSE(stores_values(Format::lowrank));
}
