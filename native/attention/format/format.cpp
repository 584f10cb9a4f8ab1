#include "attention/format/format.h"

#include <algorithm>
#include <cassert>
#include <cstring>

#include "attention/format/fp16.h"
#include "attention/format/fp8.h"
#include "attention/format/int2.h"
#include "attention/format/int4.h"
#include "attention/format/int8.h"
#include "attention/format/lowrank.h"

namespace sightline::attention {
namespace {

using Encode = void (*)(const uint16_t* halves, std::byte* out, const Extent& extent);
using Decode = void (*)(const std::byte* coded, uint16_t* halves, const Extent& extent);

/// How one side, keys or values, is stored; null where the format is not for it.
struct Side {
  size_t (*bytes)(const Extent& extent);
  Encode encode;
  Decode decode;
};

struct Row {
  Format format;
  std::string_view name;
  Side k, v;
};

constexpr Side kFp16{[](const Extent& e) { return fp16_bytes(e); },
                     [](const uint16_t* halves, std::byte* out, const Extent& e) {
                       std::memcpy(out, halves, fp16_bytes(e));
                     },
                     [](const std::byte* coded, uint16_t* halves, const Extent& e) {
                       std::memcpy(halves, coded, fp16_bytes(e));
                     }};
constexpr auto kFp8Bytes = [](const Extent& e) { return Fp8Layout(e).bytes; };
constexpr Side kNone{nullptr, nullptr, nullptr};

constexpr Row kRows[] = {
    {Format::fp16, "fp16", kFp16, kFp16},
    {Format::fp8,
     "fp8",
     {kFp8Bytes, encode_keys_fp8, decode_fp8},
     {kFp8Bytes, encode_values_fp8, decode_fp8}},
    {Format::int8,
     "int8",
     {[](const Extent& e) { return Int8Keys(e).bytes; }, encode_keys_int8, decode_keys_int8},
     {[](const Extent& e) { return Int8Values(e).bytes; }, encode_values_int8, decode_values_int8}},
    {Format::int4,
     "int4",
     {[](const Extent& e) { return int4_layout(e).bytes; }, encode_keys_int4, decode_keys_int4},
     {[](const Extent& e) { return int4_layout(e).bytes; },
      [](const uint16_t* halves, std::byte* out, const Extent& e) {
        encode_values_grouped(halves, out, e, 4, int4_layout(e));
      },
      [](const std::byte* coded, uint16_t* halves, const Extent& e) {
        decode_values_grouped(coded, halves, e, 4, int4_layout(e));
      }}},
    {Format::int2,
     "int2",
     kNone,
     {[](const Extent& e) { return int2_layout(e).bytes; },
      [](const uint16_t* halves, std::byte* out, const Extent& e) {
        encode_values_grouped(halves, out, e, 2, int2_layout(e));
      },
      [](const std::byte* coded, uint16_t* halves, const Extent& e) {
        decode_values_grouped(coded, halves, e, 2, int2_layout(e));
      }}},
    {Format::lowrank,
     "lowrank",
     {[](const Extent& e) { return LowrankKeys(e).bytes; }, encode_keys_lowrank,
      decode_keys_lowrank},
     kNone},
};

const Row& row_of(Format format) {
  const Row& row = kRows[static_cast<size_t>(format)];
  assert(row.format == format);
  return row;
}

size_t padded(size_t bytes) {
  return (bytes + kPartAlignment - 1) / kPartAlignment * kPartAlignment;
}

struct NamedTier {
  std::string_view name;
  Tier tier;
};

constexpr NamedTier kTiers[] = {
    {"fp16", {Format::fp16, Format::fp16}}, {"fp8", {Format::fp8, Format::fp8}},
    {"int8", {Format::int8, Format::int8}}, {"k8v4", {Format::int8, Format::int4}},
    {"int4", {Format::int4, Format::int4}}, {"k4v2", {Format::int4, Format::int2}},
};

}  // namespace

bool stores_keys(Format format) { return row_of(format).k.bytes != nullptr; }
bool stores_values(Format format) { return row_of(format).v.bytes != nullptr; }

size_t key_bytes(Format format, const Extent& extent) { return row_of(format).k.bytes(extent); }
size_t value_bytes(Format format, const Extent& extent) { return row_of(format).v.bytes(extent); }

size_t values_offset(Tier tier, const Extent& extent) { return padded(key_bytes(tier.k, extent)); }

size_t part_bytes(Tier tier, const Extent& extent) {
  return values_offset(tier, extent) + padded(value_bytes(tier.v, extent));
}

void encode_keys(Format format, const uint16_t* halves, std::byte* out, const Extent& extent) {
  row_of(format).k.encode(halves, out, extent);
}

void encode_values(Format format, const uint16_t* halves, std::byte* out, const Extent& extent) {
  row_of(format).v.encode(halves, out, extent);
}

void decode_keys(Format format, const std::byte* coded, uint16_t* halves, const Extent& extent) {
  row_of(format).k.decode(coded, halves, extent);
}

void decode_values(Format format, const std::byte* coded, uint16_t* halves, const Extent& extent) {
  row_of(format).v.decode(coded, halves, extent);
}

std::string_view name_of(Format format) { return row_of(format).name; }

std::optional<Format> format_named(std::string_view name) {
  const auto row = std::find_if(std::begin(kRows), std::end(kRows),
                                [&](const Row& candidate) { return candidate.name == name; });
  return row == std::end(kRows) ? std::nullopt : std::optional(row->format);
}

std::optional<Tier> tier_named(std::string_view name) {
  const auto row = std::find_if(std::begin(kTiers), std::end(kTiers),
                                [&](const NamedTier& candidate) { return candidate.name == name; });
  return row == std::end(kTiers) ? std::nullopt : std::optional(row->tier);
}

std::string name_of(Tier tier) {
  const auto row = std::find_if(std::begin(kTiers), std::end(kTiers),
                                [&](const NamedTier& candidate) { return candidate.tier == tier; });
  if (row != std::end(kTiers)) return std::string(row->name);
  return std::string(name_of(tier.k)) + "-" + std::string(name_of(tier.v));
}

}  // namespace sightline::attention
