#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <random>

#include "attention/cuda/emulator/kernels.h"
#include "attention/cuda/emulator/machine.h"
#include "attention/cuda/recode.h"
#include "attention/cuda/transfer.h"
#include "attention/format/access.h"
#include "attention/format/format.h"
#include "attention/half.h"
#include "memory.h"

using namespace sightline::attention;
using namespace sightline::attention::cuda;
using test::DeviceMemory;

namespace {

enum class Kind { normal, offset, constant, tiny, large };

/// A part's keys and values in FP16, in the CPU's layout.
std::vector<std::byte> halves_part(const Extent& extent, Kind kind, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<std::byte> part(part_bytes({}, extent));
  auto* keys = at_offset<uint16_t>(part.data(), 0);
  auto* values = at_offset<uint16_t>(part.data(), values_offset({}, extent));
  for (int t = 0; t < extent.tokens; t++) {
    for (int c = 0; c < extent.head_dim; c++) {
      const auto element = [&] {
        const float x = normal(random);
        switch (kind) {
          case Kind::offset:
            return c % 7 == 0 ? 30.0f + x : x;
          case Kind::constant:
            return 1.5f;
          case Kind::tiny:
            return x * 0x1p-22f;
          case Kind::large:
            return t % 5 == 0 ? x * 30000.0f : x;
          default:
            return x;
        }
      };
      keys[key_index(extent, t, c)] = float_to_half(std::clamp(element(), -65504.0f, 65504.0f));
      values[value_index(extent, t, c)] = float_to_half(std::clamp(element(), -65504.0f, 65504.0f));
    }
  }
  return part;
}

/// What the kernels make of a part, in the CPU's layout. `kept`: positions of the tokens wanted,
/// `first` being the block's.
std::vector<std::byte> recoded_by_kernels(Tier from, const Extent& source_extent, Tier to,
                                          const Extent& extent, const std::vector<std::byte>& given,
                                          uint32_t seed, int32_t first = 0,
                                          const int32_t* kept = nullptr) {
  DeviceMemory<std::byte> source(given.size());
  std::ranges::copy(given, source.data());
  to_words(from, source_extent, source.all());
  DeviceMemory<std::byte> target(part_bytes(to, extent));
  const auto copy_of = [](const DeviceMemory<std::byte>& memory, Tier tier, const Extent& size) {
    Copy copy;
    copy.data = const_cast<DeviceMemory<std::byte>&>(memory).data();
    copy.tier = tier;
    copy.capacity = size.capacity;
    copy.tokens = size.tokens;
    return copy;
  };
  Copy result = copy_of(target, to, extent);
  result.positions = kept;
  RecodeJobs jobs;
  jobs.add(1, extent.head_dim, first, copy_of(source, from, source_extent), result);
  DeviceMemory<std::byte> scratch(jobs.scratch_bytes());
  jobs.place_scratch(scratch.data());
  emulator::Machine machine({seed});
  if (!jobs.restores().empty())
    machine.run({{kSlices, static_cast<unsigned>(jobs.restores().size()), 1},
                 {kSliceThreads, 1, 1},
                 slice_shared_bytes(extent.head_dim)},
                [&] { restore_blocks({jobs.restores().data()}); });
  if (!jobs.codes().empty())
    machine.run({{kSlices, static_cast<unsigned>(jobs.codes().size()), 1},
                 {kSliceThreads, 1, 1},
                 slice_shared_bytes(extent.head_dim)},
                [&] { code_blocks({jobs.codes().data()}); });
  from_words(to, extent, target.all());
  return {target.all().begin(), target.all().end()};
}

std::vector<std::byte> coded_by_cpu(Tier tier, const Extent& extent,
                                    const std::vector<std::byte>& halves) {
  std::vector<std::byte> part(part_bytes(tier, extent));
  encode_keys(tier.k, at_offset<uint16_t>(halves.data(), 0), part.data(), extent);
  encode_values(tier.v, at_offset<uint16_t>(halves.data(), values_offset({}, extent)),
                part.data() + values_offset(tier, extent), extent);
  return part;
}

std::vector<std::byte> restored_by_cpu(Tier tier, const Extent& extent,
                                       const std::vector<std::byte>& coded) {
  std::vector<std::byte> part(part_bytes({}, extent));
  decode_keys(tier.k, coded.data(), at_offset<uint16_t>(part.data(), 0), extent);
  decode_values(tier.v, coded.data() + values_offset(tier, extent),
                at_offset<uint16_t>(part.data(), values_offset({}, extent)), extent);
  return part;
}

const Tier kTiers[] = {{Format::int8, Format::int8},
                       {Format::int4, Format::int4},
                       {Format::int4, Format::int2},
                       {Format::fp8, Format::fp8}};

}  // namespace

TEST_CASE("coding gives the CPU's codes, bit by bit") {
  uint32_t seed = 0;
  for (const Tier tier : kTiers) {
    for (const int head_dim : {64, 80, 96, 128, 256}) {
      for (const Kind kind :
           {Kind::normal, Kind::offset, Kind::constant, Kind::tiny, Kind::large}) {
        CAPTURE(name_of(tier));
        CAPTURE(head_dim);
        CAPTURE(static_cast<int>(kind));
        const bool is_whole = head_dim == 64 || kind == Kind::normal;
        const Extent extent =
            is_whole ? Extent{head_dim, kBlockTokens, kBlockTokens} : Extent{head_dim, 48, 35};
        const auto halves = halves_part(extent, kind, ++seed);
        CHECK(recoded_by_kernels({}, extent, tier, extent, halves, seed % 6) ==
              coded_by_cpu(tier, extent, halves));
      }
    }
  }
}

TEST_CASE("restoring gives the halves of the CPU's decoders, bit by bit") {
  uint32_t seed = 0;
  for (const Tier tier : kTiers) {
    for (const int head_dim : {64, 80, 96, 128, 256}) {
      for (const Kind kind : {Kind::normal, Kind::offset, Kind::tiny, Kind::large}) {
        CAPTURE(name_of(tier));
        CAPTURE(head_dim);
        CAPTURE(static_cast<int>(kind));
        const Extent extent{head_dim, kBlockTokens, kBlockTokens};
        const auto coded = coded_by_cpu(tier, extent, halves_part(extent, kind, ++seed));
        CHECK(recoded_by_kernels(tier, extent, {}, extent, coded, seed % 6) ==
              restored_by_cpu(tier, extent, coded));
      }
    }
  }
}

TEST_CASE("a coded block passes to another form by what it decodes to, or as it is") {
  const Tier kInt8{Format::int8, Format::int8}, kK8V4{Format::int8, Format::int4},
      kInt4{Format::int4, Format::int4}, kK4V2{Format::int4, Format::int2};
  uint32_t seed = 0;
  for (const auto& [from, to] :
       {std::pair{kInt8, kK8V4}, {kK8V4, kInt4}, {kInt8, kInt4}, {kInt4, kK4V2}}) {
    for (const int head_dim : {64, 80, 128}) {
      CAPTURE(name_of(from));
      CAPTURE(name_of(to));
      const Extent extent{head_dim, kBlockTokens, kBlockTokens};
      const auto coded = coded_by_cpu(from, extent, halves_part(extent, Kind::offset, ++seed));
      auto expected = coded_by_cpu(to, extent, restored_by_cpu(from, extent, coded));
      // What has its form already stays byte by byte what it is.
      if (from.k == to.k) std::copy_n(coded.begin(), key_bytes(from.k, extent), expected.begin());
      if (from.v == to.v)
        std::copy_n(coded.begin() + static_cast<ptrdiff_t>(values_offset(from, extent)),
                    value_bytes(from.v, extent),
                    expected.begin() + static_cast<ptrdiff_t>(values_offset(to, extent)));
      CHECK(recoded_by_kernels(from, extent, to, extent, coded, seed % 6) == expected);
    }
  }
}

TEST_CASE("of a block that loses tokens the others are gathered and coded") {
  constexpr int32_t kFirst = 1040;
  uint32_t seed = 0;
  for (const Tier tier : {kTiers[0], kTiers[1], Tier{}}) {
    for (const int head_dim : {64, 96}) {
      CAPTURE(name_of(tier));
      const Extent whole{head_dim, kBlockTokens, kBlockTokens}, extent{head_dim, 48, 48};
      const auto halves = halves_part(whole, Kind::normal, ++seed);
      std::vector<int32_t> kept;
      for (int t = 0; t < extent.tokens; t++) kept.push_back(kFirst + t * 8 / 3 + t % 2);
      std::vector<std::byte> gathered(part_bytes({}, extent));
      const auto each = [&](size_t from_offset, size_t to_offset, auto index) {
        for (int t = 0; t < extent.tokens; t++)
          for (int c = 0; c < head_dim; c++)
            at_offset<uint16_t>(gathered.data(), to_offset)[index(extent, t, c)] =
                at_offset<uint16_t>(
                    halves.data(),
                    from_offset)[index(whole, kept[static_cast<size_t>(t)] - kFirst, c)];
      };
      each(0, 0, key_index);
      each(values_offset({}, whole), values_offset({}, extent), value_index);
      CHECK(recoded_by_kernels({}, whole, tier, extent, halves, seed % 6, kFirst, kept.data()) ==
            (tier == Tier{} ? gathered : coded_by_cpu(tier, extent, gathered)));
    }
  }
}
