#pragma once
// Runs the blocks of a grid as a GPU may run them: every thread of a block is a fiber; barriers,
// warp collectives and asynchronous copies keep to CUDA's rules and report what breaks them. What
// it cannot show: speed, bank conflicts, occupancy, and weak memory other than by the thread
// sanitizer.

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <source_location>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "attention/cuda/emulator/fiber.h"

namespace sightline::attention::cuda::emulator {

inline constexpr unsigned kWarpLanes = 32;
inline constexpr size_t kSharedBytes = size_t{228} << 10;  // of one block, at most
inline constexpr size_t kExchangeBytes = 64;               // that a lane can offer at a time

using Site = std::source_location;

struct Dim {
  unsigned x = 1, y = 1, z = 1;
  unsigned count() const { return x * y * z; }
};

/// Where a thread is.
struct Place {
  Dim thread, block, block_dim, grid_dim;
  unsigned warp = 0, lane = 0;
};

/// What a kernel did wrong, with the place of the thread that was caught at it.
class Fault : public std::runtime_error {
 public:
  Fault(const std::string& what, const Site& site, const Place& place);
};

/// What a grid did, by class. Global memory is counted in sectors that one instruction of a warp
/// touches, whatever a cache would have saved.
struct Counts {
  uint64_t global_read = 0;  // bytes
  uint64_t global_written = 0;
  uint64_t matrix_products = 0;  // mma instructions of a warp
};

inline constexpr size_t kSectorBytes = 32;

enum class Access { read, write };

struct Launch {
  Dim grid, block;
  size_t dynamic_shared = 0;
};

/// The order in which threads, warps and blocks take turns: 0 ascending, 1 descending, else random
/// by that seed.
struct Order {
  uint32_t seed = 0;
};

/// A lane's part of the operands of a[16][16] * b[16][8]: pairs, whose halves floats hold exactly.
struct Operands {
  float a[4][2], b[2][2];
};
Operands operands(const uint32_t (&a)[4], const uint32_t (&b)[2]);

/// One block at a time, on the calling thread.
class Machine {
 public:
  explicit Machine(Order order = {});
  ~Machine();

  /// Runs `kernel` for every thread of every block. Throws Fault.
  void run(const Launch& launch, const std::function<void()>& kernel);

  /// From now on counts accesses to global memory, too, which takes long.
  void count_memory() { counts_memory_ = true; }
  const Counts& counts() const { return counts_; }

  // Called by kernels, on the fiber of a thread.

  static Machine& current();
  const Place& place() const;

  enum class Vote { any, all, count };
  /// __syncthreads_or, _and, _count; __syncthreads with any vote.
  int barrier(const Site& site, Vote vote = Vote::any, bool value = false);

  /// Whether a collective orders what its lanes did to memory.
  enum class Memory { as_is, ordered };
  /// Every lane of the mask offers up to kExchangeBytes; returns what all offered, [kWarpLanes]
  /// [kExchangeBytes], valid until the lane's next collective.
  const std::byte* exchange(uint32_t mask, std::span<const std::byte> own, const Site& site,
                            Memory memory = Memory::as_is);

  /// What `lane` offered.
  static void copy_offer(const std::byte* offers, unsigned lane, std::span<std::byte> to);

  /// The elements that `lane` has of the product of what all lanes offered, which are Operands.
  static std::array<double, 4> product(const std::byte* offers, unsigned lane);

  /// A shared variable of the block, told apart by `key`. Full of 0xff, which is NaN, at first.
  void* shared(const void* key, size_t bytes, size_t alignment);
  void* dynamic_shared() { return dynamic_; }

  /// cp.async of 4, 8 or 16 bytes: they arrive when their group is waited for, until then there are
  /// NaNs.
  void copy_async(void* to, const void* from, size_t bytes, const Site& site);
  void commit_copies();
  void wait_for_copies(size_t groups_left);

  void count_matrix_product() { counts_.matrix_products++; }
  void count_access(Access access, const void* at, size_t bytes, const Site& site);
  [[noreturn]] void fault(const std::string& what, const Site& site) const;

 private:
  enum class State { ready, at_barrier, in_collective, done };
  struct Copy {
    void* to;
    const void* from;
    size_t bytes;
  };
  using Instruction = std::pair<const char*, uint64_t>;  // file; line and column
  /// Sectors that the lanes of a warp touched when they executed an instruction for the n-th time.
  using Touched = std::map<std::pair<Instruction, size_t>, std::set<uintptr_t>>;
  struct Thread {
    Fiber fiber;
    Place place;
    State state = State::done;
    Site site;
    int vote = 0;
    std::deque<Copy> copies;
    std::deque<size_t> groups;  // copies of each committed group
    size_t uncommitted = 0;
    std::map<Instruction, size_t> executed;  // times
  };
  /// A collective of the lanes of one mask. Twice the room: a fast lane may offer for the next one
  /// while a slow one still reads.
  struct Collective {
    uint32_t mask = 0, arrived = 0;
    unsigned turn = 0;
    Site site;
    alignas(16) std::array<std::byte, 2 * kWarpLanes * kExchangeBytes> offers;
  };
  struct Warp {
    uint32_t lanes = 0;  // that there are
    std::deque<Collective> collectives;
    Touched touched;
  };

  static void run_thread(void* self);
  void run_block(const Launch& launch, Dim block);
  void prepare(const Launch& launch, Dim block);
  bool run_warp(unsigned warp);
  void open_barrier();
  [[noreturn]] void report_deadlock();
  void drop_arena();
  void shuffle(std::vector<unsigned>& order);
  std::byte* carve(size_t bytes, size_t alignment);
  Thread& thread() { return *threads_[running_]; }

  Order order_;
  std::mt19937 random_;
  Counts counts_;
  bool counts_memory_ = false;
  const std::function<void()>* kernel_ = nullptr;
  std::vector<std::unique_ptr<Thread>> threads_;
  std::vector<Warp> warps_;
  unsigned count_ = 0;    // threads of the block
  unsigned living_ = 0;   // that have not returned
  unsigned waiting_ = 0;  // at the barrier
  unsigned running_ = 0;
  Vote vote_ = Vote::any;
  int votes_ = 0;
  std::exception_ptr failure_;

  struct Variable {
    const void* key;
    std::byte* at;
  };
  std::unique_ptr<std::byte[]> arena_;
  size_t used_ = 0;
  std::vector<Variable> variables_;
  std::byte* dynamic_ = nullptr;
};

}  // namespace sightline::attention::cuda::emulator
