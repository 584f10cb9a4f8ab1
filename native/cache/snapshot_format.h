#pragma once
// What the writer and the reader of snapshots agree on.

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>
#include <vector>

#include "attention/format/format.h"
#include "cache/policy.h"

namespace sightline::cache {

inline constexpr std::array<char, 8> kMagic = {'S', 'L', 'K', 'V', 'S', 'N', 'A', 'P'};
/// Grows with every change to what follows, and to the layouts in attention/format/.
inline constexpr uint32_t kVersion = 1;
inline constexpr uint32_t kByteOrder = 0x01020304;

struct Header {
  std::array<char, 8> magic = kMagic;
  uint32_t version = kVersion;
  uint32_t byte_order = kByteOrder;
  uint64_t file_bytes = 0;
  uint64_t description_bytes = 0;  // padding included
};

inline constexpr size_t kHeaderBytes = 64;  // the rest is 0
inline constexpr size_t kChecksumBytes = sizeof(uint64_t);

static_assert(sizeof(Header) <= kHeaderBytes);

/// A block in the description; `mass` is followed by the attention received.
struct BlockRecord {
  int32_t tokens = 0;
  int32_t degraded = 0;
  int32_t kept = 0;  // tokens of the copy
  int16_t rank = 0;
  uint8_t level = 0;
  uint8_t mass = 0;  // 1: present
};

static_assert(std::has_unique_object_representations_v<BlockRecord>);

constexpr size_t padded(size_t bytes) {
  return (bytes + attention::kPartAlignment - 1) / attention::kPartAlignment *
         attention::kPartAlignment;
}

class Writer {
 public:
  template <typename T>
  void put(const T& value) {
    put_all(std::span<const T>(&value, 1));
  }
  template <typename T>
  void put_all(std::span<const T> values) {
    static_assert(std::is_trivially_copyable_v<T>);
    const auto bytes = std::as_bytes(values);
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
  }
  /// With their number in front.
  template <typename T>
  void put_list(std::span<const T> values) {
    put(static_cast<uint64_t>(values.size()));
    put_all(values);
  }
  void pad() { bytes_.resize(padded(bytes_.size())); }
  const std::vector<std::byte>& bytes() const { return bytes_; }

 private:
  std::vector<std::byte> bytes_;
};

/// Every read fails once one went beyond the end.
class Reader {
 public:
  explicit Reader(std::span<const std::byte> bytes) : bytes_(bytes) {}

  template <typename T>
  T get() {
    T value{};
    get_all(std::span<T>(&value, 1));
    return value;
  }
  template <typename T>
  void get_all(std::span<T> values) {
    static_assert(std::is_trivially_copyable_v<T>);
    failed_ = failed_ || values.size_bytes() > bytes_.size();
    if (failed_ || values.empty()) return;
    std::memcpy(values.data(), bytes_.data(), values.size_bytes());
    bytes_ = bytes_.subspan(values.size_bytes());
  }
  template <typename T>
  std::vector<T> get_list() {
    const auto count = get<uint64_t>();
    failed_ = failed_ || count > bytes_.size() / sizeof(T);
    std::vector<T> values(failed_ ? 0 : static_cast<size_t>(count));
    get_all(std::span<T>(values));
    return values;
  }
  bool failed() const { return failed_; }
  size_t left() const { return bytes_.size(); }

 private:
  std::span<const std::byte> bytes_;
  bool failed_ = false;
};

/// Everything about a policy that the contents depend on: not its budget.
std::vector<std::byte> policy_description(const Policy& policy, int32_t layers);

}  // namespace sightline::cache
