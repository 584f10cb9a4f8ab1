#include "attention/half.h"

#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <random>

using namespace sightline::attention;

TEST_CASE("every half survives the way to float and back") {
  for (uint32_t bits = 0; bits < 0x10000; bits++) {
    const auto half = static_cast<uint16_t>(bits);
    const float value = half_to_float(half);
    if (std::isnan(value)) {
      CHECK((half & 0x7c00) == 0x7c00);
      CHECK((half & 0x03ff) != 0);
    } else {
      REQUIRE(float_to_half(value) == half);
    }
  }
}

TEST_CASE("halves are what IEEE 754 says") {
  CHECK(half_to_float(0x3c00) == 1.0f);
  CHECK(half_to_float(0xc000) == -2.0f);
  CHECK(half_to_float(0x7bff) == 65504.0f);
  CHECK(half_to_float(0x0001) == 0x1p-24f);
  CHECK(half_to_float(0x0400) == 0x1p-14f);
  CHECK(std::isinf(half_to_float(0x7c00)));
  CHECK(float_to_half(65519.0f) == 0x7bff);
  CHECK(float_to_half(65520.0f) == 0x7c00);
  CHECK(float_to_half(1.0f + 0x1p-11f) == 0x3c00);      // a tie goes to even
  CHECK(float_to_half(1.0f + 3 * 0x1p-11f) == 0x3c02);  // the other tie
  CHECK(float_to_half(0x1p-25f) == 0x0000);
  CHECK(float_to_half(std::nextafter(0x1p-25f, 1.0f)) == 0x0001);
}

TEST_CASE("rounding to half is to the nearest, and directed rounding brackets it") {
  std::mt19937 random(1);
  std::uniform_real_distribution<float> exponent(-26.0f, 15.9f);
  std::bernoulli_distribution negative;
  for (int i = 0; i < 200000; i++) {
    const float value = std::exp2(exponent(random)) * (negative(random) ? -1.0f : 1.0f);
    const float low = half_to_float(half_at_most(value));
    const float high = half_to_float(half_at_least(value));
    const float nearest = half_to_float(float_to_half(value));
    REQUIRE(low <= value);
    REQUIRE(value <= high);
    REQUIRE((nearest == low || nearest == high));
    REQUIRE(std::fabs(nearest - value) <= std::fmin(value - low, high - value) * (1 + 1e-6f));
  }
  CHECK(half_at_most(0.0f) == 0x0000);
  CHECK(half_to_float(half_at_least(0.0f)) == 0.0f);
  CHECK(half_at_most(-1e-9f) == 0x8001);
  CHECK(half_at_least(1e-9f) == 0x0001);
}
