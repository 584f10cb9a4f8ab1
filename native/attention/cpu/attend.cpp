#include "attention/cpu/attend.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <limits>
#include <new>
#include <numbers>

namespace sightline::attention::cpu {
namespace {

// Rows of a tile: enough to use a decoded vector many times, few enough that a tile's queries,
// logits and sums stay in the second-level cache.
constexpr int kTileRows = 64;

// Blocks of a part when the blocks are split: below this a part costs more than it saves.
constexpr int kLeastBlocks = 2;

// Parts per thread, so that a thread that the system holds up does not hold up the others.
constexpr int kPartsPerThread = 4;

constexpr std::align_val_t kAlignment{64};

constexpr size_t aligned(size_t floats) { return (floats + 15) / 16 * 16; }

/// The softmax state of two disjoint sets of positions, into `a` (FlashDecoding; the identity is
/// the empty state).
void merge(const State& a, const State& b, int rows, int head_dim) {
  for (int r = 0; r < rows; r++) {
    const float m = std::max(a.m[r], b.m[r]);
    if (m == -std::numeric_limits<float>::infinity()) continue;
    const float keep = std::exp2(a.m[r] - m);
    const float take = std::exp2(b.m[r] - m);
    a.m[r] = m;
    a.l[r] = a.l[r] * keep + b.l[r] * take;
    for (int c = 0; c < head_dim; c++) {
      const int i = r * head_dim + c;
      a.o[i] = a.o[i] * keep + b.o[i] * take;
    }
  }
}

}  // namespace

void Workspace::Free::operator()(float* p) const { ::operator delete[](p, kAlignment); }

float* Workspace::reserve(size_t floats) {
  if (floats > floats_) {
    data_.reset(static_cast<float*>(::operator new[](floats * sizeof(float), kAlignment)));
    floats_ = floats;
  }
  return data_.get();
}

Plan Plan::make(const Shape& shape, std::span<const int32_t> visible, std::span<const Block> blocks,
                int threads, int observed) {
  Plan plan{shape, {}, 1, threads, observed};
  const int longest = std::max(1, kTileRows / shape.group());
  const auto reads_alike = [&](int32_t a, int32_t b) {
    return std::all_of(blocks.begin(), blocks.end(),
                       [&](const Block& block) { return &block.copy(a) == &block.copy(b); });
  };
  for (int i = 0; i < shape.tokens; i++) {
    const size_t at = static_cast<size_t>(i);
    const bool joins =
        i > 0 && plan.tiles.back().count < longest &&
        (visible[at] == visible[at - 1] ||
         reads_alike(visible[static_cast<size_t>(plan.tiles.back().first)], visible[at]));
    if (joins) {
      plan.tiles.back().count++;
    } else {
      plan.tiles.push_back({i, 1});
    }
  }
  const int groups = static_cast<int>(plan.tiles.size()) * shape.kv_heads;
  if (threads > 1 && groups < kPartsPerThread * threads) {
    const int wanted = (kPartsPerThread * threads + groups - 1) / groups;
    const int possible = static_cast<int>(blocks.size()) / kLeastBlocks;
    plan.splits = std::max(1, std::min(wanted, possible));
  }
  return plan;
}

int Plan::most_rows() const {
  int count = 0;
  for (const Tile& tile : tiles) count = std::max(count, tile.count);
  return count * shape.group();
}

size_t Plan::part_floats() const {
  const size_t rows = static_cast<size_t>(most_rows());
  return aligned(rows) * 2 + aligned(rows * static_cast<size_t>(shape.head_dim));
}

size_t Plan::thread_floats() const {
  return aligned(scratch_floats(most_rows(), shape.head_dim)) + part_floats();
}

size_t Plan::workspace_floats() const {
  const size_t parts = splits > 1 ? static_cast<size_t>(units()) : 0;
  const size_t masses = tiles.size() * static_cast<size_t>(shape.kv_heads);
  return thread_floats() * static_cast<size_t>(threads) + part_floats() * parts +
         aligned(static_cast<size_t>(observed)) * masses;
}

Attention::Attention(const Kernel& kernel, Plan plan, const Problem& problem, float* workspace)
    : kernel_(kernel),
      plan_(std::move(plan)),
      problem_(problem),
      workspace_(workspace),
      pending_(std::make_unique<std::atomic<int>[]>(plan_.tiles.size() *
                                                    static_cast<size_t>(plan_.shape.kv_heads))) {
  const size_t groups = plan_.tiles.size() * static_cast<size_t>(plan_.shape.kv_heads);
  for (size_t g = 0; g < groups; g++) pending_[g].store(plan_.splits, std::memory_order_relaxed);
  if (plan_.observed == 0) return;
  const auto kv_heads = static_cast<size_t>(plan_.shape.kv_heads);
  observing_ = std::make_unique<std::atomic<int>[]>(kv_heads);
  for (size_t h = 0; h < kv_heads; h++)
    observing_[h].store(static_cast<int>(plan_.tiles.size()), std::memory_order_relaxed);
}

void Attention::work(int thread) {
  assert(thread < plan_.threads);
  const int units = plan_.units();
  for (int u = next_.fetch_add(1, std::memory_order_relaxed); u < units;
       u = next_.fetch_add(1, std::memory_order_relaxed)) {
    attend_unit(units - 1 - u, thread);  // later queries see more: the longest work first
  }
}

State Attention::part(int tile, int kv_head, int split) const {
  const size_t index =
      static_cast<size_t>((tile * plan_.shape.kv_heads + kv_head) * plan_.splits + split);
  float* base = workspace_ + plan_.thread_floats() * static_cast<size_t>(plan_.threads) +
                plan_.part_floats() * index;
  const size_t rows = aligned(static_cast<size_t>(plan_.most_rows()));
  return {base, base + rows, base + 2 * rows};
}

void Attention::attend_unit(int unit, int thread) {
  const int split = unit % plan_.splits;
  const int kv_head = unit / plan_.splits % plan_.shape.kv_heads;
  const int tile = unit / plan_.splits / plan_.shape.kv_heads;
  const size_t count = problem_.blocks.size();
  const size_t splits = static_cast<size_t>(plan_.splits);
  const size_t first = count * static_cast<size_t>(split) / splits;
  const size_t last = count * static_cast<size_t>(split + 1) / splits;

  float* scratch = workspace_ + plan_.thread_floats() * static_cast<size_t>(thread);
  const size_t rows = aligned(static_cast<size_t>(plan_.most_rows()));
  float* own = scratch + aligned(scratch_floats(plan_.most_rows(), plan_.shape.head_dim));
  const State state =
      plan_.splits > 1 ? part(tile, kv_head, split) : State{own, own + rows, own + 2 * rows};
  kernel_.attend(problem_, kv_head, plan_.tiles[static_cast<size_t>(tile)],
                 problem_.blocks.subspan(first, last - first), scratch, state);

  // The last one to finish sees what the others wrote: acquire pairs with their release.
  auto& pending = pending_[static_cast<size_t>(tile * plan_.shape.kv_heads + kv_head)];
  if (pending.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  const int tile_rows = plan_.tiles[static_cast<size_t>(tile)].count * plan_.shape.group();
  const State whole = plan_.splits > 1 ? part(tile, kv_head, 0) : state;
  for (int s = 1; s < plan_.splits; s++)
    merge(whole, part(tile, kv_head, s), tile_rows, plan_.shape.head_dim);
  add_sink(whole, tile, kv_head);
  finish(whole, tile, kv_head);
  if (plan_.observed > 0) observe(whole, tile, kv_head, scratch);
}

/// Where a tile's attention to the observed tokens is kept until all tiles have theirs.
float* Attention::mass(int tile, int kv_head) const {
  const size_t parts = plan_.splits > 1 ? static_cast<size_t>(plan_.units()) : 0;
  float* base = workspace_ + plan_.thread_floats() * static_cast<size_t>(plan_.threads) +
                plan_.part_floats() * parts;
  return base + aligned(static_cast<size_t>(plan_.observed)) *
                    static_cast<size_t>(tile * plan_.shape.kv_heads + kv_head);
}

void Attention::observe(const State& state, int tile, int kv_head, float* scratch) {
  kernel_.observe(problem_, kv_head, plan_.tiles[static_cast<size_t>(tile)], scratch, state,
                  mass(tile, kv_head));
  // The last one adds the tiles up in their order, so that the sum does not depend on the threads.
  auto& observing = observing_[static_cast<size_t>(kv_head)];
  if (observing.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  const Received& received = problem_.received;
  float* total = received.mass + kv_head * received.stride;
  for (size_t i = 0; i < plan_.tiles.size(); i++)
    for (int t = 0; t < received.count; t++) total[t] += mass(static_cast<int>(i), kv_head)[t];
}

/// A model's attention sinks: one more position that has no value.
void Attention::add_sink(const State& state, int tile, int kv_head) const {
  if (problem_.sinks == nullptr) return;
  const Shape& shape = plan_.shape;
  for (int r = 0; r < plan_.tiles[static_cast<size_t>(tile)].count * shape.group(); r++) {
    const float sink =
        problem_.sinks[kv_head * shape.group() + r % shape.group()] * std::numbers::log2e_v<float>;
    const float m = std::max(state.m[r], sink);
    const float keep = std::exp2(state.m[r] - m);
    state.l[r] = state.l[r] * keep + std::exp2(sink - m);
    for (int c = 0; c < shape.head_dim; c++) state.o[r * shape.head_dim + c] *= keep;
    state.m[r] = m;
  }
}

void Attention::finish(const State& state, int tile, int kv_head) const {
  const Shape& shape = plan_.shape;
  const Tile& queries = plan_.tiles[static_cast<size_t>(tile)];
  for (int r = 0; r < queries.count * shape.group(); r++) {
    const int head = kv_head * shape.group() + r % shape.group();
    const float scale = state.l[r] > 0.0f ? 1.0f / state.l[r] : 0.0f;
    float* out = problem_.out.row(queries.first + r / shape.group(), head);
    const float* sum = state.o + static_cast<ptrdiff_t>(r) * shape.head_dim;
    for (int c = 0; c < shape.head_dim; c++) out[c] = sum[c] * scale;
  }
}

}  // namespace sightline::attention::cpu
