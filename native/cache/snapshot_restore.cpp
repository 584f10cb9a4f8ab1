#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "attention/format/access.h"
#include "cache/file.h"
#include "cache/hash.h"
#include "cache/snapshot.h"
#include "cache/snapshot_format.h"

namespace sightline::cache {

using attention::Block;
using attention::Copy;
using attention::Format;
using attention::kBlockTokens;
using attention::kTokenGranule;

namespace {

constexpr int32_t kMostLayers = 1 << 16;
constexpr int32_t kMostHeads = 1 << 12;
constexpr int32_t kMostHeadDim = 1 << 12;
constexpr size_t kMostTokens = size_t{1} << 30;

constexpr int32_t rounded_up(int32_t tokens) {
  return (tokens + kTokenGranule - 1) / kTokenGranule * kTokenGranule;
}

struct SavedBlock {
  int32_t layer;
  Block block;  // its only copy lies in the file
  Entry entry;
};

struct Contents {
  std::vector<int32_t> tokens;
  std::vector<float> kind_weights;
  std::vector<Geometry> geometries;
  std::vector<SavedBlock> blocks;
};

SnapshotResult damaged() {
  return {SnapshotStatus::damaged, "The snapshot's contents contradict themselves."};
}

bool is_possible(Geometry g) {
  return g == Geometry{} ||
         (g.kv_heads >= 1 && g.kv_heads <= kMostHeads && g.head_dim >= kTokenGranule &&
          g.head_dim <= kMostHeadDim && g.head_dim % kTokenGranule == 0);
}

bool is_share(float value) { return value >= 0 && value <= 1; }

/// The file as a whole, before anything in it is read.
SnapshotResult check_frame(std::span<const std::byte> file, Header& header) {
  if (file.size() < sizeof kMagic || std::memcmp(file.data(), kMagic.data(), sizeof kMagic) != 0)
    return {SnapshotStatus::not_a_snapshot, "The file is not a snapshot."};
  if (file.size() < kHeaderBytes + kChecksumBytes)
    return {SnapshotStatus::truncated, "The snapshot ends within its header."};
  std::memcpy(&header, file.data(), sizeof header);
  if (header.byte_order != kByteOrder)
    return {SnapshotStatus::other_machine, "The snapshot has another machine's byte order."};
  if (header.version > kVersion)
    return {SnapshotStatus::newer_version, "The snapshot is of version " +
                                               std::to_string(header.version) +
                                               ", newer than this program."};
  if (header.file_bytes != file.size())
    return {SnapshotStatus::truncated, "The snapshot has " + std::to_string(file.size()) +
                                           " bytes instead of " +
                                           std::to_string(header.file_bytes) + "."};
  Hash64 hash;
  hash.add(file.first(file.size() - kChecksumBytes));
  uint64_t expected;
  std::memcpy(&expected, file.data() + file.size() - kChecksumBytes, sizeof expected);
  if (hash.value() != expected)
    return {SnapshotStatus::damaged, "The snapshot's checksum does not match."};
  if (header.version != kVersion ||
      header.description_bytes > file.size() - kHeaderBytes - kChecksumBytes ||
      header.description_bytes % attention::kPartAlignment != 0)
    return damaged();
  return {};
}

/// Reads the blocks of one layer, and finds the copies in what is left of the file.
class LayerReader {
 public:
  LayerReader(const Policy& policy, int32_t layer, Geometry geometry)
      : policy_(policy), layer_(layer), geometry_(geometry), ladder_(ladder(policy, layer)) {}

  bool read(Reader& in, std::span<const std::byte>& copies, int32_t length,
            std::vector<SavedBlock>& out) {
    int32_t highest = static_cast<int32_t>(ladder_.size()) - 1;
    for (int32_t first = 0; first < length;) {
      const int32_t sink = policy_.sink - first;
      const int32_t room = sink > 0 ? std::min(sink, kBlockTokens) : kBlockTokens;
      const auto record = in.get<BlockRecord>();
      const int32_t tokens = std::min(room, length - first);
      if (in.failed() || record.tokens != tokens || record.level > highest) return false;
      if (sink > 0 && (record.level > 0 || record.degraded != 0)) return false;
      // The levels fall from the oldest block to the newest.
      if (sink <= 0) highest = record.level;
      SavedBlock saved{layer_, {}, {}};
      saved.block.first = first;
      saved.block.tokens = tokens;
      saved.block.count = 1;
      const bool read = record.level == 0 ? read_plain(record, room, saved.block.copies[0])
                                          : read_coded(record, saved.block.copies[0]);
      if (!read || !read_entry(record, in, saved.entry) || !take_data(copies, saved)) return false;
      out.push_back(std::move(saved));
      first += tokens;
    }
    return true;
  }

 private:
  bool read_plain(const BlockRecord& record, int32_t room, Copy& copy) const {
    copy.capacity = rounded_up(room);
    copy.tokens = record.kept;
    return record.kept == record.tokens && record.rank == 0 && record.degraded >= 0 &&
           record.degraded <= record.tokens;
  }

  bool read_coded(const BlockRecord& record, Copy& copy) {
    const Level& level = ladder_[record.level];
    if (record.tokens != kBlockTokens || record.degraded != 0 || record.mass != 0) return false;
    if (!level) return record.kept == 0 && record.rank == 0;
    copy.tier = *level;
    copy.rank = record.rank;
    copy.capacity = copy.tokens = record.kept;
    drops_ = record.kept < kBlockTokens;
    const bool ranked = level->k == Format::lowrank;
    return record.kept > 0 && record.kept <= kBlockTokens && record.kept % kTokenGranule == 0 &&
           (!drops_ || policy_.needs_attention()) &&
           (ranked ? record.rank > 0 && record.rank <= geometry_.head_dim && record.rank % 4 == 0
                   : record.rank == 0);
  }

  bool read_entry(const BlockRecord& record, Reader& in, Entry& entry) const {
    entry.level[0] = record.level;
    entry.degraded = record.degraded;
    if (record.mass == 0) return true;
    if (record.mass != 1 || !policy_.needs_attention()) return false;
    if (in.left() / sizeof(float) / kBlockTokens < static_cast<size_t>(geometry_.kv_heads))
      return false;
    entry.mass.resize(static_cast<size_t>(geometry_.kv_heads) * kBlockTokens);
    in.get_all(std::span<float>(entry.mass));
    return std::all_of(entry.mass.begin(), entry.mass.end(),
                       [](float mass) { return std::isfinite(mass) && mass >= 0; });
  }

  bool take_data(std::span<const std::byte>& copies, SavedBlock& saved) {
    Copy& copy = saved.block.copies[0];
    if (copy.capacity == 0) return true;
    const size_t parts = parts_bytes(geometry_, copy);
    const bool drops = std::exchange(drops_, false);
    const size_t bytes = parts + (drops ? positions_bytes(geometry_, copy) : 0);
    if (bytes > copies.size()) return false;
    copy.data = copies.data();
    copies = copies.subspan(bytes);
    if (!drops) return true;
    copy.positions = attention::at_offset<int32_t>(copy.data, parts);
    for (int32_t head = 0; head < geometry_.kv_heads; head++) {
      int32_t last = saved.block.first - 1;
      for (int32_t t = 0; t < copy.tokens; t++) {
        const int32_t position = copy.positions[head * copy.capacity + t];
        if (position <= last || position >= saved.block.end()) return false;
        last = position;
      }
    }
    return true;
  }

  const Policy& policy_;
  int32_t layer_;
  Geometry geometry_;
  std::vector<Level> ladder_;
  bool drops_ = false;  // the copy being read lacks tokens
};

SnapshotResult read(std::span<const std::byte> file, const Sequence& sequence,
                    std::span<const std::byte> fingerprint, Contents& contents) {
  Header header;
  if (auto result = check_frame(file, header); result.status != SnapshotStatus::ok) return result;
  Reader in(file.subspan(kHeaderBytes, header.description_bytes));
  auto copies = file.subspan(kHeaderBytes + header.description_bytes);
  copies = copies.first(copies.size() - kChecksumBytes);

  const auto model = in.get_list<std::byte>();
  if (in.failed()) return damaged();
  if (!std::equal(model.begin(), model.end(), fingerprint.begin(), fingerprint.end()))
    return {SnapshotStatus::other_model, "The snapshot is of another model."};
  const auto policy = in.get_list<std::byte>();
  contents.tokens = in.get_list<int32_t>();
  contents.kind_weights = in.get_list<float>();
  const auto layers = in.get<int32_t>();
  if (in.failed() || layers < 0 || layers > kMostLayers || contents.tokens.size() > kMostTokens ||
      contents.kind_weights.size() > kMostTokens ||
      !std::all_of(contents.kind_weights.begin(), contents.kind_weights.end(), is_share))
    return damaged();
  if (policy != policy_description(sequence.policy(), layers))
    return {SnapshotStatus::other_policy, "The snapshot is of another caching policy."};
  for (int32_t i = 0; i < layers; i++) contents.geometries.push_back(in.get<Geometry>());
  const auto& geometries = contents.geometries;
  if (in.failed() || !std::all_of(geometries.begin(), geometries.end(), is_possible))
    return damaged();
  bool same = sequence.layers() == 0 || sequence.layers() == layers;
  for (int32_t i = 0; same && i < sequence.layers(); i++)
    same = sequence.layer(i).geometry() == geometries[static_cast<size_t>(i)];
  if (!same) return {SnapshotStatus::other_geometry, "The snapshot has other layers."};

  const auto length = static_cast<int32_t>(contents.tokens.size());
  bool any = false;
  for (int32_t i = 0; i < layers; i++) {
    const Geometry geometry = geometries[static_cast<size_t>(i)];
    if (geometry == Geometry{}) continue;
    any = true;
    if (!LayerReader(sequence.policy(), i, geometry).read(in, copies, length, contents.blocks))
      return damaged();
  }
  const bool whole = copies.empty() && in.left() < attention::kPartAlignment;
  return whole && (any || length == 0) ? SnapshotResult{} : damaged();
}

}  // namespace

SnapshotResult restore_snapshot(const std::filesystem::path& path, Sequence& sequence,
                                std::span<const std::byte> fingerprint,
                                std::vector<int32_t>& tokens) {
  tokens.clear();
  if (sequence.length() != 0) return {SnapshotStatus::not_possible, "The sequence is not empty."};
  std::error_code error;
  const MappedFile file(path, error);
  if (error)
    return {SnapshotStatus::io_error, "The snapshot cannot be read: " + error.message() + "."};
  Contents contents;
  if (auto result = read(file.bytes(), sequence, fingerprint, contents);
      result.status != SnapshotStatus::ok)
    return result;

  for (size_t i = 0; i < contents.geometries.size(); i++)
    if (contents.geometries[i] != Geometry{} &&
        !sequence.configure(static_cast<int32_t>(i), contents.geometries[i]))
      return {SnapshotStatus::other_geometry, "The snapshot has other layers."};
  bool enough = true;
  for (SavedBlock& saved : contents.blocks)
    enough = enough && sequence.adopt(saved.layer, saved.block, std::move(saved.entry));
  // The budget may be a smaller one than it was.
  if (enough && sequence.policy().kind == PolicyKind::automatic)
    enough = sequence.set_budget(sequence.policy().budget) == Status::ok;
  if (!enough) {
    sequence.truncate(0);
    return {SnapshotStatus::exhausted, "There is no room for the snapshot."};
  }
  sequence.set_kind_weights(0, contents.kind_weights);
  tokens = std::move(contents.tokens);
  return {};
}

}  // namespace sightline::cache
