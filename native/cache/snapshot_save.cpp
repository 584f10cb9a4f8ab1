#include <algorithm>
#include <string>

#include "cache/file.h"
#include "cache/hash.h"
#include "cache/snapshot.h"
#include "cache/snapshot_format.h"

namespace sightline::cache {

using attention::Block;
using attention::Copy;

namespace {

/// What a sequence of its length reads.
const Copy& last_copy(const Block& block) { return block.held().back(); }

bool is_between_steps(const Sequence& sequence) {
  for (int32_t i = 0; i < sequence.layers(); i++) {
    const auto blocks = sequence.blocks(i);
    const int32_t end = blocks.empty() ? 0 : blocks.back().end();
    if (sequence.layer(i).configured() && end != sequence.length()) return false;
  }
  return true;
}

std::vector<std::byte> description_of(const Sequence& sequence, std::span<const int32_t> tokens,
                                      std::span<const std::byte> fingerprint) {
  Writer out;
  out.put_list(fingerprint);
  out.put_list(
      std::span<const std::byte>(policy_description(sequence.policy(), sequence.layers())));
  out.put_list(tokens);
  out.put_list(sequence.kind_weights());
  out.put(sequence.layers());
  for (int32_t i = 0; i < sequence.layers(); i++) out.put(sequence.layer(i).geometry());
  for (int32_t i = 0; i < sequence.layers(); i++) {
    const auto blocks = sequence.blocks(i);
    const auto entries = sequence.layer(i).entries();
    for (size_t b = 0; b < blocks.size(); b++) {
      const Copy& copy = last_copy(blocks[b]);
      BlockRecord record;
      record.tokens = blocks[b].tokens;
      record.kept = copy.tokens;
      record.rank = copy.rank;
      record.level = entries[b].level[static_cast<size_t>(blocks[b].count) - 1];
      if (record.level == 0) record.degraded = entries[b].degraded;
      record.mass = record.level == 0 && !entries[b].mass.empty() ? 1 : 0;
      out.put(record);
      if (record.mass == 1) out.put_all(std::span<const float>(entries[b].mass));
    }
  }
  out.pad();
  return out.bytes();
}

size_t copies_bytes(const Sequence& sequence) {
  size_t sum = 0;
  for (int32_t i = 0; i < sequence.layers(); i++)
    for (const Block& block : sequence.blocks(i))
      sum += slot_bytes(sequence.layer(i).geometry(), last_copy(block));
  return sum;
}

}  // namespace

std::vector<std::byte> policy_description(const Policy& policy, int32_t layers) {
  Writer out;
  out.put(attention::kBlockTokens);
  out.put(attention::kTokenGranule);
  out.put(static_cast<int32_t>(policy.kind));
  out.put(policy.sink);
  out.put(policy.window);
  out.put(policy.span);
  out.put(policy.step);
  out.put(policy.keep);
  out.put(policy.threshold);
  out.put(policy.weights);
  out.put(policy.rank);
  out.put(policy.energy);
  for (int32_t layer = 0; layer < layers; layer++) {
    for (const Level& level : ladder(policy, layer)) {
      out.put(static_cast<uint8_t>(level ? 1 : 0));
      out.put(static_cast<uint8_t>(level ? level->k : attention::Format::fp16));
      out.put(static_cast<uint8_t>(level ? level->v : attention::Format::fp16));
    }
  }
  return out.bytes();
}

SnapshotResult save_snapshot(const std::filesystem::path& path, const Sequence& sequence,
                             std::span<const int32_t> tokens,
                             std::span<const std::byte> fingerprint) {
  if (!is_between_steps(sequence))
    return {SnapshotStatus::not_possible, "A step is being computed."};
  if (tokens.size() != static_cast<size_t>(sequence.length()))
    return {SnapshotStatus::not_possible, "The tokens are not those that the sequence holds."};

  const std::vector<std::byte> description = description_of(sequence, tokens, fingerprint);
  Header header;
  header.description_bytes = description.size();
  header.file_bytes = kHeaderBytes + description.size() + copies_bytes(sequence) + kChecksumBytes;

  std::error_code error;
  NewFile file(path, error);
  Hash64 hash;
  const auto write = [&](std::span<const std::byte> bytes) {
    hash.add(bytes);
    if (!error) file.write(bytes, error);
  };
  Writer head;
  head.put(header);
  head.pad();
  write(head.bytes());
  write(description);
  std::vector<std::byte> room;
  for (int32_t i = 0; i < sequence.layers() && !error; i++) {
    const Layer& layer = sequence.layer(i);
    for (const Block& block : sequence.blocks(i)) {
      const Copy local = layer.memory().local(layer.geometry(), last_copy(block), room);
      write({local.data, slot_bytes(layer.geometry(), local)});
    }
  }
  Writer checksum;
  checksum.put(hash.value());
  if (!error) file.write(checksum.bytes(), error);
  if (!error) file.publish(error);
  if (error)
    return {SnapshotStatus::io_error, "The snapshot was not written: " + error.message() + "."};
  return {};
}

}  // namespace sightline::cache
