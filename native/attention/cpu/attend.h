#pragma once
// Attention of one layer, shared between threads: a plan cuts the work into units, and every thread
// takes the next one until none is left. With few queries (decode) the blocks are split too
// (split-KV), and the thread that finishes a group's last part merges the parts, in their order.

#include <atomic>
#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "attention/attention.h"
#include "attention/cpu/kernel.h"

namespace sightline::attention::cpu {

/// Floats aligned for vectors; grows, never shrinks; contents are lost when it grows.
class Workspace {
 public:
  float* reserve(size_t floats);

 private:
  struct Free {
    void operator()(float* p) const;
  };
  std::unique_ptr<float[], Free> data_;
  size_t floats_ = 0;
};

/// How one layer's attention is divided. Valid for every layer of the same shape and blocks.
struct Plan {
  Shape shape;
  std::vector<Tile> tiles;
  int splits;  // parts of the blocks, 1 when there are enough tiles
  int threads;
  int observed;  // tokens whose attention received is asked for

  /// `visible` and `blocks` as in Problem. Cuts tiles where the copy that a block is read from
  /// changes.
  static Plan make(const Shape& shape, std::span<const int32_t> visible,
                   std::span<const Block> blocks, int threads, int observed = 0);

  int units() const { return static_cast<int>(tiles.size()) * shape.kv_heads * splits; }
  /// Floats that `attend` needs in its workspace.
  size_t workspace_floats() const;

 private:
  friend class Attention;
  int most_rows() const;
  size_t thread_floats() const;
  size_t part_floats() const;
};

/// One run of a plan over a problem; `work` is called by every thread once.
class Attention {
 public:
  /// `workspace` has plan.workspace_floats() floats and outlives this.
  Attention(const Kernel& kernel, Plan plan, const Problem& problem, float* workspace);
  void work(int thread);

 private:
  void attend_unit(int unit, int thread);
  State part(int tile, int kv_head, int split) const;
  float* mass(int tile, int kv_head) const;
  void add_sink(const State& state, int tile, int kv_head) const;
  void finish(const State& state, int tile, int kv_head) const;
  void observe(const State& state, int tile, int kv_head, float* scratch);

  const Kernel& kernel_;
  Plan plan_;
  Problem problem_;
  float* workspace_;
  std::atomic<int> next_{0};
  std::unique_ptr<std::atomic<int>[]> pending_;    // [tiles * kv_heads] parts still missing
  std::unique_ptr<std::atomic<int>[]> observing_;  // [kv_heads] tiles not observed yet
};

}  // namespace sightline::attention::cpu
