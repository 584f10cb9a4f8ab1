#pragma once
// A sequence on disk: written once, mapped back later, so that a long prompt is warm at once.
//
//   header       kHeaderBytes: magic, version, byte order, sizes
//   description  fingerprint, policy, tokens, geometry per layer, block table; padded
//   copies       of layer after layer, block after block, as the pool holds them; each a multiple
//                of kPartAlignment bytes
//   checksum     XXH64 of everything before
//
// Numbers are in the byte order of the machine. A file is trusted only in that it is what `save`
// once wrote for the same fingerprint: one made up to look like that is refused or restored to
// wrong contents, but never read beyond its bounds.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "cache/sequence.h"

namespace sightline::cache {

enum class SnapshotStatus : uint8_t {
  ok,
  not_possible,    // save: a step is begun, or other tokens than held; restore: not empty
  io_error,        // `message` is the system's
  not_a_snapshot,  //
  newer_version,   // than this program knows
  other_machine,   // another byte order
  truncated,       // or too long
  damaged,         // the checksum is another, or the contents contradict themselves
  other_model,     // another fingerprint
  other_geometry,  // layers, KV heads or head sizes differ
  other_policy,    // or other formats; a budget may differ
  exhausted,       // no room for it in the pool
};

struct SnapshotResult {
  SnapshotStatus status = SnapshotStatus::ok;
  std::string message;  // a sentence, empty where ok
};

/// Writes a sequence and its tokens, one per position, under `path`, atomically. `fingerprint`
/// stands for the model and whatever else the contents depend on. What is held for a rollback is
/// not written. On failure nothing is left behind, and an older file stays.
[[nodiscard]] SnapshotResult save_snapshot(const std::filesystem::path& path,
                                           const Sequence& sequence,
                                           std::span<const int32_t> tokens,
                                           std::span<const std::byte> fingerprint);

/// Fills an empty sequence from a file; `tokens` are those it holds then. A sequence whose layers
/// are not yet configured takes their geometry from the file. On failure the sequence is empty, and
/// the file is left alone.
[[nodiscard]] SnapshotResult restore_snapshot(const std::filesystem::path& path, Sequence& sequence,
                                              std::span<const std::byte> fingerprint,
                                              std::vector<int32_t>& tokens);

}  // namespace sightline::cache
