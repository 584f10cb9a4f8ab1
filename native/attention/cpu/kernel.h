#pragma once
// One table row per instruction set. Every row computes the same thing from the same body
// (body.inl); which one runs is decided once, at run time.

#include <algorithm>
#include <cstddef>
#include <span>
#include <string_view>

#include "attention/attention.h"
#include "attention/format/int4.h"

namespace sightline::attention::cpu {

/// Consecutive query tokens that read every block from the same copy.
struct Tile {
  int first, count;
};

/// Softmax state of a tile's rows over some of the blocks: the largest logit m in multiples of ln
/// 2, the sum l of 2^(logit - m), and the sum o of 2^(logit - m) * v. Row r is token r / group,
/// head r % group. Empty: m = -infinity, l = 0, o = 0.
struct State {
  float* m;  // [rows]
  float* l;  // [rows]
  float* o;  // [rows][head_dim]
};

struct Kernel {
  std::string_view name;
  bool (*runs_here)();
  /// Attends `tile` of one KV head's query group over `blocks` (a part of problem.blocks).
  /// `scratch` holds scratch_floats(rows, head_dim) floats, aligned to 64 bytes.
  void (*attend)(const Problem& problem, int kv_head, Tile tile, std::span<const Block> blocks,
                 float* scratch, const State& state);
  /// The attention that each token of problem.received gets from the tile and the KV head's group,
  /// into mass[received.count]. `state` is the tile's over all blocks.
  void (*observe)(const Problem& problem, int kv_head, Tile tile, float* scratch,
                  const State& state, float* mass);
};

/// Elements of a row of temporaries: whole vectors of tokens or channels, cut up four at a time.
constexpr size_t widest_row(int head_dim) {
  return static_cast<size_t>((std::max(head_dim, kBlockTokens) + 63) / 64 * 64);
}

/// The last register tile of an integer product may have room for more rows than there are.
inline constexpr int kMostTileRows = 8;
constexpr size_t digit_rows(int rows) {
  return static_cast<size_t>((rows + 15) / 16 * 16 + kMostTileRows);
}

/// Floats of memory that a kernel works in for a tile of so many rows: queries, temporaries,
/// logits, the sum of the weights, digits and three numbers a row, the same of rotated queries by
/// group, and a block's grids.
constexpr size_t scratch_floats(int rows, int head_dim) {
  const size_t widest = widest_row(head_dim);
  const size_t sets = 1 + static_cast<size_t>(head_dim / int4_group(head_dim));
  const size_t row = widest + widest + kBlockTokens + 1 + 3 * sets;
  return static_cast<size_t>((rows + 15) / 16 * 16) * row + digit_rows(rows) * sets * widest / 2 +
         2 * widest;
}

/// Rows this build has, fastest first; the last one, `portable`, runs everywhere.
std::span<const Kernel> kernels();

/// The fastest row that runs here, or the row of that name; null where the name is unknown or the
/// row does not run here.
const Kernel* choose_kernel(std::string_view name = {});

extern const Kernel kPortable;
#if defined(__x86_64__) || defined(_M_X64)
extern const Kernel kAvx2;
extern const Kernel kAvxVnni;
extern const Kernel kAvx512;
extern const Kernel kAvx512Vnni;
#elif defined(__aarch64__) || defined(_M_ARM64)
extern const Kernel kNeon;
extern const Kernel kDotprod;
#endif

}  // namespace sightline::attention::cpu
