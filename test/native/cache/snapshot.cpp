#include "cache/snapshot.h"

#include <doctest/doctest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "cache/hash.h"
#include "cache/snapshot_format.h"
#include "model.h"
#include "policies.h"
#include "tokens.h"

#if !defined(_WIN32)
#include <sys/resource.h>

#include <csignal>
#endif

using namespace sightline;
using cache::Policy;
using cache::PolicyKind;
using cache::Pool;
using cache::Sequence;
using cache::SnapshotStatus;
using cache::Status;
using test::Geometries;
using test::kSmall;

namespace {

namespace fs = std::filesystem;

using Bytes = std::vector<std::byte>;

const Bytes kModel = [] {
  Bytes bytes;
  for (const char c : std::string_view("model 1")) bytes.push_back(static_cast<std::byte>(c));
  return bytes;
}();

/// A folder of its own, gone afterwards.
struct Folder {
  fs::path path;
  Folder() {
    std::random_device random;
    path = fs::temp_directory_path() / ("sightline-snapshot-" + std::to_string(random()));
    fs::create_directory(path);
  }
  ~Folder() { fs::remove_all(path); }
  fs::path file() const { return path / "file.kv"; }
  size_t files() const {
    return static_cast<size_t>(
        std::distance(fs::directory_iterator(path), fs::directory_iterator()));
  }
};

Bytes read(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  const std::string all((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  Bytes bytes(all.size());
  std::memcpy(bytes.data(), all.data(), all.size());
  return bytes;
}

void write(const fs::path& path, const Bytes& bytes) {
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
}

struct Held {
  Pool pool;
  Sequence sequence;
  std::vector<int32_t> tokens;

  explicit Held(const Policy& policy, const Geometries& geometries = kSmall, size_t budget = 0)
      : pool(budget), sequence(policy, pool) {
    for (size_t i = 0; i < geometries.size(); i++)
      if (geometries[i] != cache::Geometry{})
        REQUIRE(sequence.configure(static_cast<int32_t>(i), geometries[i]));
  }

  void append(int32_t count, uint32_t seed) {
    std::mt19937 random(seed);
    while (count > 0) {
      std::vector<int32_t> step;
      const int32_t most = std::min({count, 200, sequence.step_limit()});
      for (int32_t i = 0; i < most; i++) step.push_back(static_cast<int32_t>(random() % 1000));
      REQUIRE(test::append(sequence, sequence.length(), step) == Status::ok);
      tokens.insert(tokens.end(), step.begin(), step.end());
      count -= most;
    }
  }

  SnapshotStatus save(const fs::path& path) const {
    return cache::save_snapshot(path, sequence, tokens, kModel).status;
  }
  SnapshotStatus restore(const fs::path& path, const Bytes& model = kModel) {
    const auto result = cache::restore_snapshot(path, sequence, model, tokens);
    CHECK(result.message.empty() == (result.status == SnapshotStatus::ok));
    if (result.status != SnapshotStatus::ok) {
      REQUIRE(sequence.length() == 0);
      REQUIRE(pool.used() == 0);
      REQUIRE(tokens.empty());
    }
    return result.status;
  }
};

enum class Compare { bytes, tokens };  // all bytes, or those of the tokens that a block has

/// What sequences of this length read.
void check_same(const Sequence& a, const Sequence& b, Compare compare) {
  REQUIRE(a.length() == b.length());
  REQUIRE(a.layers() == b.layers());
  for (int32_t l = 0; l < a.layers(); l++) {
    const cache::Geometry g = a.layer(l).geometry();
    REQUIRE(g == b.layer(l).geometry());
    REQUIRE(a.blocks(l).size() == b.blocks(l).size());
    for (size_t i = 0; i < a.blocks(l).size(); i++) {
      const attention::Block &x = a.blocks(l)[i], &y = b.blocks(l)[i];
      const attention::Copy &p = x.copy(a.length()), &q = y.copy(b.length());
      REQUIRE(x.first == y.first);
      REQUIRE(x.tokens == y.tokens);
      REQUIRE(p.tier == q.tier);
      REQUIRE(p.tokens == q.tokens);
      REQUIRE(p.capacity == q.capacity);
      REQUIRE(p.rank == q.rank);
      REQUIRE((p.data == nullptr) == (q.data == nullptr));
      REQUIRE((p.positions == nullptr) == (q.positions == nullptr));
      REQUIRE(cache::slot_bytes(g, p) == cache::slot_bytes(g, q));
      if (p.data == nullptr) continue;
      if (compare == Compare::bytes || p.tokens == p.capacity)
        REQUIRE(std::memcmp(p.data, q.data, cache::slot_bytes(g, p)) == 0);
      for (int32_t head = 0; head < g.kv_heads; head++)
        REQUIRE(test::Model::head_of(g, x, p, head) == test::Model::head_of(g, y, q, head));
      REQUIRE(a.layer(l).entries()[i].mass == b.layer(l).entries()[i].mass);
    }
  }
  REQUIRE(a.account() == b.account());
}

/// Where things are in a file: layers' geometry, block records, copies.
struct Places {
  size_t geometries, records, copies;
  explicit Places(const Bytes& file) {
    uint64_t description;
    std::memcpy(&description, file.data() + 24, sizeof description);
    copies = cache::kHeaderBytes + description;
    cache::Reader in(std::span<const std::byte>(file).subspan(cache::kHeaderBytes, description));
    in.get_list<std::byte>();
    in.get_list<std::byte>();
    in.get_list<int32_t>();
    in.get_list<float>();
    const auto layers = in.get<int32_t>();
    geometries = copies - in.left();
    records = geometries + sizeof(cache::Geometry) * static_cast<size_t>(layers);
  }
};

template <typename T>
void put(Bytes& file, size_t at, const T& value) {
  std::memcpy(file.data() + at, &value, sizeof value);
}

void set_checksum(Bytes& file) {
  cache::Hash64 hash;
  const size_t covered = file.size() - cache::kChecksumBytes;
  hash.add(std::span(file).first(covered));
  const uint64_t value = hash.value();
  std::memcpy(file.data() + covered, &value, sizeof value);
}

}  // namespace

TEST_CASE("a sequence comes back from disk byte for byte, and goes on alike") {
  const Folder folder;
  for (const Policy& policy : test::policies()) {
    CAPTURE(cache::name_of(policy.kind));
    for (const int32_t length : {0, 1, 700}) {
      Held saved(policy);
      saved.append(length, 1);
      if (length > 600) {
        saved.sequence.set_kind_weights(0, std::vector<float>(700, 0.25f));
        saved.tokens.resize(
            static_cast<size_t>(saved.sequence.truncate(590, cache::Rollback::reopen)));
        saved.append(60, 2);
      }
      REQUIRE(saved.save(folder.file()) == SnapshotStatus::ok);
      REQUIRE(folder.files() == 1);

      Held restored(policy, length == 1 ? Geometries{} : kSmall);
      REQUIRE(restored.restore(folder.file()) == SnapshotStatus::ok);
      REQUIRE(restored.tokens == saved.tokens);
      check_same(saved.sequence, restored.sequence, Compare::bytes);
      REQUIRE(restored.pool.used() == restored.sequence.account().bytes());
      saved.append(300, 3);
      restored.append(300, 3);
      check_same(saved.sequence, restored.sequence, Compare::tokens);
    }
  }
}

TEST_CASE("what is held for a rollback is not written, layers that are not ours are skipped") {
  const Folder folder;
  const Geometries gaps{{}, {1, 16}, {}, {2, 32}, {}};
  const Policy policy{.kind = PolicyKind::hierarchical, .window = 64, .span = 300};
  Held saved(policy, gaps), plain(policy, gaps), restored(policy, gaps);
  saved.append(300, 1);
  saved.sequence.hold(300);
  saved.append(500, 2);
  plain.append(300, 1);
  plain.append(500, 2);
  REQUIRE(saved.save(folder.file()) == SnapshotStatus::ok);
  REQUIRE(restored.restore(folder.file()) == SnapshotStatus::ok);
  check_same(plain.sequence, restored.sequence, Compare::tokens);
}

TEST_CASE("files that are not ours to use are refused, each for its reason") {
  const Folder folder;
  const Policy policy{.kind = PolicyKind::selective, .window = 64};
  Held saved(policy);
  saved.append(300, 1);
  REQUIRE(saved.save(folder.file()) == SnapshotStatus::ok);
  const Bytes file = read(folder.file());
  const auto patched = [&](size_t at, std::byte value) {
    Bytes bytes = file;
    bytes[at] = value;
    set_checksum(bytes);
    write(folder.path / "patched.kv", bytes);
    return Held(policy).restore(folder.path / "patched.kv");
  };

  CHECK(Held(policy).restore(folder.path / "none.kv") == SnapshotStatus::io_error);
  CHECK(Held(policy).restore(folder.path) == SnapshotStatus::io_error);
  CHECK(patched(0, std::byte{0}) == SnapshotStatus::not_a_snapshot);
  CHECK(patched(8, std::byte{2}) == SnapshotStatus::newer_version);
  CHECK(patched(8, std::byte{0}) == SnapshotStatus::damaged);
  CHECK(patched(12, std::byte{1}) == SnapshotStatus::other_machine);
  CHECK(patched(16, static_cast<std::byte>(std::to_integer<int>(file[16]) + 1)) ==
        SnapshotStatus::truncated);
  CHECK(Held(policy).restore(folder.file(), Bytes(3)) == SnapshotStatus::other_model);
  CHECK(Held(policy).restore(folder.file(), {}) == SnapshotStatus::other_model);
  CHECK(Held(policy, {{2, 16}, {1, 16}}).restore(folder.file()) == SnapshotStatus::other_geometry);
  CHECK(Held(policy, {{2, 16}, {1, 16}, {2, 32}}).restore(folder.file()) ==
        SnapshotStatus::other_geometry);
  CHECK(Held({.kind = PolicyKind::selective, .window = 128}).restore(folder.file()) ==
        SnapshotStatus::other_policy);
  Policy other = policy;
  other.tier.v = attention::Format::int4;
  CHECK(Held(other).restore(folder.file()) == SnapshotStatus::other_policy);
  other = policy;
  other.layers = {{1, attention::Format::fp16, {}}};
  CHECK(Held(other).restore(folder.file()) == SnapshotStatus::other_policy);
  CHECK(Held(policy, kSmall, 50000).restore(folder.file()) == SnapshotStatus::exhausted);
  CHECK(Held(policy).restore(folder.file()) == SnapshotStatus::ok);

  std::vector<int32_t> tokens;
  CHECK(cache::restore_snapshot(folder.file(), saved.sequence, kModel, tokens).status ==
        SnapshotStatus::not_possible);
  CHECK(saved.sequence.length() == 300);
  saved.tokens.pop_back();
  CHECK(saved.save(folder.file()) == SnapshotStatus::not_possible);
  saved.tokens.push_back(1);
  REQUIRE(saved.sequence.begin(0, 300, 1) == Status::ok);
  CHECK(saved.save(folder.file()) == SnapshotStatus::not_possible);
  saved.sequence.abandon(0);
  CHECK(read(folder.file()) == file);
}

TEST_CASE("another budget is no other policy: a smaller one applies when restored") {
  const Folder folder;
  Policy policy{.kind = PolicyKind::automatic, .window = 64, .budget = 0, .step = 128};
  Held saved(policy);
  saved.append(1200, 1);
  REQUIRE(saved.save(folder.file()) == SnapshotStatus::ok);
  policy.budget = size_t{400} << 10;
  Held restored(policy), appended(policy);
  REQUIRE(restored.restore(folder.file()) == SnapshotStatus::ok);
  CHECK(restored.sequence.account().bytes() < policy.budget);
  CHECK(saved.sequence.account().bytes() > policy.budget / 4 * 3);
  appended.append(1200, 1);
  check_same(restored.sequence, appended.sequence, Compare::tokens);
}

TEST_CASE("no shortened file is taken, at any length") {
  const Folder folder;
  const Policy policy{.kind = PolicyKind::h2o, .sink = 0, .window = 0, .keep = 0.1f};
  const Geometries one{{1, 16}};
  Held saved(policy, one), held(policy, one);
  saved.append(130, 1);
  REQUIRE(saved.save(folder.file()) == SnapshotStatus::ok);
  const Bytes file = read(folder.file());
  for (size_t size = file.size(); size-- > 0;) {
    fs::resize_file(folder.file(), size);
    REQUIRE(held.restore(folder.file()) ==
            (size < 8 ? SnapshotStatus::not_a_snapshot : SnapshotStatus::truncated));
  }
  // The same with a size and a checksum that agree.
  uint64_t description;
  std::memcpy(&description, file.data() + 24, sizeof description);
  for (size_t size = cache::kHeaderBytes + cache::kChecksumBytes; size < file.size();
       size += size < cache::kHeaderBytes + description + 100 ? 1 : 61) {
    Bytes part(file.begin(), file.begin() + static_cast<ptrdiff_t>(size));
    const uint64_t claimed = size;
    std::memcpy(part.data() + 16, &claimed, sizeof claimed);
    set_checksum(part);
    write(folder.file(), part);
    REQUIRE(held.restore(folder.file()) == SnapshotStatus::damaged);
  }
}

TEST_CASE("no flipped bit goes unnoticed") {
  const Folder folder;
  const Policy policy{.kind = PolicyKind::full, .sink = 16};
  const Geometries one{{1, 16}};
  Held saved(policy, one), held(policy, one);
  saved.append(2, 1);
  REQUIRE(saved.save(folder.file()) == SnapshotStatus::ok);
  Bytes bytes = read(folder.file());
  std::fstream file(folder.file(), std::ios::binary | std::ios::in | std::ios::out);
  const auto put = [&](size_t at) {
    file.seekp(static_cast<std::streamoff>(at));
    file.put(static_cast<char>(bytes[at])).flush();
  };
  for (size_t at = 0; at < bytes.size(); at++) {
    for (int bit = 0; bit < 8; bit++) {
      bytes[at] ^= static_cast<std::byte>(1 << bit);
      put(at);
      REQUIRE(held.restore(folder.file()) != SnapshotStatus::ok);
      bytes[at] ^= static_cast<std::byte>(1 << bit);
    }
    put(at);
  }
  CHECK(held.restore(folder.file()) == SnapshotStatus::ok);
}

TEST_CASE("made-up contents under a right checksum do no harm") {
  const Folder folder;
  for (const Policy& policy : test::policies()) {
    CAPTURE(cache::name_of(policy.kind));
    Held saved(policy);
    saved.append(600, 1);
    REQUIRE(saved.save(folder.file()) == SnapshotStatus::ok);
    const Bytes file = read(folder.file());
    uint64_t description;
    std::memcpy(&description, file.data() + 24, sizeof description);
    int refused = 0;
    for (uint32_t seed = 0; seed < 150; seed++) {
      std::mt19937 random(seed);
      Bytes bytes = file;
      // Mostly where sizes and records are, a few bytes at a time, often extreme ones.
      const size_t region = random() % 8 == 0 ? bytes.size() - cache::kChecksumBytes
                                              : cache::kHeaderBytes + description;
      const size_t start = random() % 4 == 0 ? 16 : cache::kHeaderBytes;
      for (size_t n = 1 + random() % 4; n > 0; n--) {
        const uint32_t extremes[] = {0, 1, 0x7fffffffu, 0x80000000u, 0xffffffffu, 0xffu, 128};
        const uint32_t value = random() % 2 == 0 ? extremes[random() % 7] : random();
        const size_t size = size_t{1} << random() % 3;
        const size_t at = start + random() % (region - start - size);
        std::memcpy(bytes.data() + at, &value, size);
      }
      if (random() % 8 == 0) bytes.resize(bytes.size() - 64 * (random() % 20));
      const uint64_t size = bytes.size();
      if (random() % 8 != 0) std::memcpy(bytes.data() + 16, &size, sizeof size);
      set_checksum(bytes);
      write(folder.file(), bytes);
      Held held(policy, random() % 2 == 0 ? kSmall : Geometries{});
      if (held.restore(folder.file()) != SnapshotStatus::ok) {
        refused++;
        continue;
      }
      REQUIRE(held.pool.used() == held.sequence.account().bytes());
      if (held.sequence.layers() > 0) held.append(200, seed);
      held.sequence.truncate(held.sequence.length() - 150, cache::Rollback::reopen);
    }
    CHECK(refused > 25);
  }
}

TEST_CASE("records that no sequence could have are refused, sizes in agreement or not") {
  const Folder folder;
  const Geometries one{{1, 16}};
  // The second record of a file is changed, and its copy made `grown` bytes longer.
  const auto patched = [&](const Policy& policy, cache::BlockRecord record, size_t first_bytes,
                           size_t grown) {
    Held saved(policy, one);
    saved.append(16 + 64 + 3 * 128, 1);
    REQUIRE(saved.save(folder.file()) == SnapshotStatus::ok);
    Bytes file = read(folder.file());
    const Places places(file);
    put(file, places.records + sizeof record, record);
    file.insert(file.begin() + static_cast<ptrdiff_t>(places.copies + first_bytes), grown,
                std::byte{0});
    put(file, 16, uint64_t{file.size()});
    set_checksum(file);
    write(folder.file(), file);
    return Held(policy, one).restore(folder.file());
  };
  const auto bytes_of = [&](attention::Tier tier, int32_t tokens, int32_t rank = 0) {
    return attention::part_bytes(tier, {16, tokens, tokens, rank});
  };
  const size_t sink = bytes_of({}, 16);
  const attention::Tier int8{attention::Format::int8, attention::Format::int8};
  const attention::Tier lowrank{attention::Format::lowrank, attention::Format::int8};

  const Policy selective{.kind = PolicyKind::selective, .window = 64};
  CHECK(patched(selective, {.tokens = 128, .kept = 128, .level = 1}, sink, 0) ==
        SnapshotStatus::ok);  // as it was
  CHECK(patched(selective, {.tokens = 128, .kept = 144, .level = 1}, sink,
                bytes_of(int8, 144) - bytes_of(int8, 128)) == SnapshotStatus::damaged);
  // Behind a block that is not coded none is.
  CHECK(patched(selective, {.tokens = 128, .kept = 128, .level = 0}, sink,
                bytes_of({}, 128) - bytes_of(int8, 128)) == SnapshotStatus::damaged);
  CHECK(patched(selective, {.tokens = 128, .degraded = 1, .kept = 128, .level = 1}, sink, 0) ==
        SnapshotStatus::damaged);

  const Policy ranked{.kind = PolicyKind::lowrank, .window = 64, .rank = 8};
  const auto rank = [&](int16_t r) {
    return patched(ranked, {.tokens = 128, .kept = 128, .rank = r, .level = 1}, sink,
                   bytes_of(lowrank, 128, std::max<int>(r, 8)) - bytes_of(lowrank, 128, 8));
  };
  CHECK(rank(8) == SnapshotStatus::ok);
  CHECK(rank(16) == SnapshotStatus::ok);
  CHECK(rank(20) == SnapshotStatus::damaged);
  CHECK(rank(10) == SnapshotStatus::damaged);
  CHECK(rank(-4) == SnapshotStatus::damaged);

  const Policy h2o{.kind = PolicyKind::h2o, .window = 64, .keep = 0.1f};
  Held saved(h2o, one);
  saved.append(500, 1);
  REQUIRE(saved.save(folder.file()) == SnapshotStatus::ok);
  const Bytes file = read(folder.file());
  const size_t positions = Places(file).copies + sink + bytes_of(int8, 16);
  for (const int32_t position : {15, 144, -1, 1 << 30}) {
    Bytes bytes = file;
    put(bytes, positions, position);
    set_checksum(bytes);
    write(folder.file(), bytes);
    CHECK(Held(h2o, one).restore(folder.file()) == SnapshotStatus::damaged);
  }
  // Heads of which one alone is longer than the file.
  Bytes bytes = file;
  put(bytes, Places(file).geometries, cache::Geometry{4096, 4096});
  set_checksum(bytes);
  write(folder.file(), bytes);
  CHECK(Held(h2o, {}).restore(folder.file()) == SnapshotStatus::damaged);

  Held empty(h2o, one);
  REQUIRE(empty.save(folder.file()) == SnapshotStatus::ok);
  bytes = read(folder.file());
  for (const cache::Geometry& geometry :
       {cache::Geometry{1, 24}, {1, 0}, {0, 16}, {-1, 16}, {1, 1 << 16}, {1 << 16, 16}}) {
    put(bytes, Places(bytes).geometries, geometry);
    set_checksum(bytes);
    write(folder.file(), bytes);
    CHECK(Held(h2o, {}).restore(folder.file()) == SnapshotStatus::damaged);
  }
}

TEST_CASE("a file that cannot be written leaves nothing behind, and the older one stays") {
  const Folder folder;
  Held saved({.kind = PolicyKind::full, .sink = 0});
  saved.append(300, 1);
  const auto nowhere =
      cache::save_snapshot(folder.path / "no" / "file.kv", saved.sequence, saved.tokens, kModel);
  CHECK(nowhere.status == SnapshotStatus::io_error);
  CHECK(nowhere.message.find("No such file") != std::string::npos);
  CHECK(folder.files() == 0);

  // A folder of that name: the file is written, but cannot take its place.
  fs::create_directory(folder.path / "taken");
  std::ofstream(folder.path / "taken" / "inside") << "x";
  CHECK(saved.save(folder.path / "taken") == SnapshotStatus::io_error);
  CHECK(folder.files() == 1);
  fs::remove_all(folder.path / "taken");

#if !defined(_WIN32)
  REQUIRE(saved.save(folder.file()) == SnapshotStatus::ok);
  const Bytes older = read(folder.file());
  saved.append(10, 2);
  // As a full disk would, a limit on file sizes makes writing fail half-way.
  rlimit before{};
  REQUIRE(getrlimit(RLIMIT_FSIZE, &before) == 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  for (const size_t limit : {size_t{10}, older.size() / 2, older.size() - 3}) {
    const rlimit small{limit, before.rlim_max};
    REQUIRE(setrlimit(RLIMIT_FSIZE, &small) == 0);
    const auto failed = cache::save_snapshot(folder.file(), saved.sequence, saved.tokens, kModel);
    REQUIRE(setrlimit(RLIMIT_FSIZE, &before) == 0);
    CHECK(failed.status == SnapshotStatus::io_error);
    CHECK(failed.message == "The snapshot was not written: File too large.");
    CHECK(folder.files() == 1);
    CHECK(read(folder.file()) == older);
  }
  std::signal(SIGXFSZ, handler);
  REQUIRE(saved.save(folder.file()) == SnapshotStatus::ok);
  CHECK(read(folder.file()) != older);
#endif
}
