#pragma once
// Storage formats of keys and values: sizes, encoding, decoding. One file per format; this is the
// table over them. Sources are always halves as the fp16 format stores them (fp16.h).

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "attention/block.h"

namespace sightline::attention {

inline constexpr size_t kPartAlignment = 64;

bool stores_keys(Format format);
bool stores_values(Format format);

/// Bytes of one KV head's keys (values) in a format.
size_t key_bytes(Format format, const Extent& extent);
size_t value_bytes(Format format, const Extent& extent);

/// Bytes of one KV head's part, keys and values, each padded to kPartAlignment.
size_t part_bytes(Tier tier, const Extent& extent);

/// Where the values start in a part; the keys start at 0.
size_t values_offset(Tier tier, const Extent& extent);

/// Codes keys (values). Source and target have the same extent; tokens beyond extent.tokens are not
/// looked at and stand for nothing. Error bounds are stated in the format's file.
void encode_keys(Format format, const uint16_t* halves, std::byte* out, const Extent& extent);
void encode_values(Format format, const uint16_t* halves, std::byte* out, const Extent& extent);

/// The inverse, rounded to halves; tokens beyond extent.tokens are left as they are.
void decode_keys(Format format, const std::byte* coded, uint16_t* halves, const Extent& extent);
void decode_values(Format format, const std::byte* coded, uint16_t* halves, const Extent& extent);

/// As settings spell them: `fp16`, `fp8`, `int8`, `int4`, `int2`, `lowrank`.
std::string_view name_of(Format format);
std::optional<Format> format_named(std::string_view name);

/// `fp16`, `fp8`, `int8`, `k8v4` (int8 keys, int4 values), `int4`, `k4v2` (int4 keys, int2 values).
std::optional<Tier> tier_named(std::string_view name);

/// The tier's name, or `<k>-<v>` for a pair that has none.
std::string name_of(Tier tier);

}  // namespace sightline::attention
