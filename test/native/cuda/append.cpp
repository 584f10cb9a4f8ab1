#include "attention/cuda/kernels/append.h"

#include <doctest/doctest.h>

#include <cmath>
#include <random>

#include "attention/cuda/emulator/kernels.h"
#include "attention/cuda/emulator/machine.h"
#include "attention/cuda/transfer.h"
#include "attention/format/access.h"
#include "attention/format/format.h"
#include "attention/format/fp16.h"
#include "memory.h"

using namespace sightline::attention;
using namespace sightline::attention::cuda;
using test::DeviceMemory;

TEST_CASE("appended rows are the CPU's halves, and no value behind them is a NaN") {
  constexpr int kKvHeads = 2;
  for (const int head_dim : {64, 80, 256}) {
    CAPTURE(head_dim);
    const Extent extent{head_dim, 48, 0};
    const size_t bytes = part_bytes({}, extent);
    std::mt19937 random(static_cast<uint32_t>(head_dim));
    std::normal_distribution<float> normal(0.0f, 40000.0f);  // some are no halves
    const auto stride = static_cast<size_t>(kKvHeads * head_dim);
    std::vector<float> keys(37 * stride), values(37 * stride);
    for (float& x : keys) x = normal(random);
    for (float& x : values) x = normal(random);

    DeviceMemory<std::byte> copy(kKvHeads * bytes);
    std::ranges::fill(copy.all(), std::byte{0xff});  // NaNs
    std::vector<std::byte> expected(kKvHeads * bytes, std::byte{0xff});
    int at = 0, first = 0;
    for (const int count : {1, 15, 2, 19}) {  // steps of different lengths
      const AppendSegment segment{copy.data(),
                                  static_cast<int32_t>(bytes),
                                  static_cast<int32_t>(values_offset({}, extent)),
                                  extent.capacity,
                                  at,
                                  first,
                                  count};
      const AppendArguments arguments{{keys.data(), static_cast<int64_t>(stride)},
                                      {values.data(), static_cast<int64_t>(stride)},
                                      &segment,
                                      head_dim,
                                      0};
      emulator::Machine machine({static_cast<uint32_t>(count)});
      machine.run({{kKvHeads, 1, 2}, {kAppendThreads, 1, 1}}, [&] { append_rows(arguments); });
      at += count;
      first += count;
    }

    for (size_t h = 0; h < kKvHeads; h++) {
      const auto part = copy.all().subspan(h * bytes, bytes);
      from_words({}, extent, part);
      const std::span<std::byte> own = std::span(expected).subspan(h * bytes, bytes);
      auto* k = at_offset<uint16_t>(own.data(), 0);
      auto* v = at_offset<uint16_t>(own.data(), values_offset({}, extent));
      const size_t skipped = h * static_cast<size_t>(head_dim);
      store_keys(k, extent, 0, {keys.data() + skipped, stride, 37});
      store_values(v, extent, 0, {values.data() + skipped, stride, 37});
      for (int t = 37; t < 48; t++)
        for (int c = 0; c < head_dim; c++) v[value_index(extent, t, c)] = 0;
      CHECK(std::ranges::equal(part, own));
    }
  }
}
