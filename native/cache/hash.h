#pragma once
// XXH64 with seed 0: a checksum as fast as memory (Collet, "xxHash fast digest algorithm",
// doc/xxhash_spec.md of github.com/Cyan4973/xxHash).

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace sightline::cache {

class Hash64 {
 public:
  Hash64();
  void add(std::span<const std::byte> bytes);
  /// Of everything added so far.
  uint64_t value() const;

 private:
  static constexpr size_t kStripe = 32;

  void add_stripe(const std::byte* stripe);

  std::array<uint64_t, 4> lanes_;
  std::array<std::byte, kStripe> rest_ = {};  // added, but not yet a whole stripe
  uint64_t total_ = 0;
};

}  // namespace sightline::cache
