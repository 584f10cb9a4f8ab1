#include "attention/cuda/emulator/machine.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "attention/half.h"

extern "C" {
__attribute__((weak)) void __asan_poison_memory_region(const volatile void* at, size_t bytes);
__attribute__((weak)) void __asan_unpoison_memory_region(const volatile void* at, size_t bytes);
__attribute__((weak)) void __tsan_acquire(void* at);
__attribute__((weak)) void __tsan_release(void* at);
__attribute__((weak)) void AnnotateIgnoreReadsBegin(const char* file, int line);
__attribute__((weak)) void AnnotateIgnoreReadsEnd(const char* file, int line);
__attribute__((weak)) void AnnotateIgnoreWritesBegin(const char* file, int line);
__attribute__((weak)) void AnnotateIgnoreWritesEnd(const char* file, int line);
}

namespace sightline::attention::cuda::emulator {
namespace {

constexpr size_t kRedzone = 64;  // between shared variables
constexpr size_t kArenaBytes = kSharedBytes + (size_t{16} << 10);

thread_local Machine* machine = nullptr;

/// What the machine does for a thread is not the thread's doing: the thread sanitizer looks away.
class Aside {
 public:
  Aside() {
    if (AnnotateIgnoreReadsBegin == nullptr) return;
    AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
    AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
  }
  Aside(const Aside&) = delete;
  Aside& operator=(const Aside&) = delete;
  ~Aside() {
    if (AnnotateIgnoreReadsEnd == nullptr) return;
    AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
    AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
  }
};

void order_after(void* event) {
  if (__tsan_acquire != nullptr) __tsan_acquire(event);
}
void order_before(void* event) {
  if (__tsan_release != nullptr) __tsan_release(event);
}

std::string text_of(const Dim& dim) {
  return std::to_string(dim.x) + "," + std::to_string(dim.y) + "," + std::to_string(dim.z);
}

bool same(const Site& a, const Site& b) {
  return a.line() == b.line() &&
         (a.file_name() == b.file_name() || std::strcmp(a.file_name(), b.file_name()) == 0);
}

std::string text_of(const Site& site) {
  return std::string(site.file_name()) + ":" + std::to_string(site.line());
}

/// memcpy of few bytes: sanitizers look at every call of that one.
void copy(std::byte* to, const std::byte* from, size_t bytes) {
  for (; bytes >= sizeof(uint32_t); bytes -= sizeof(uint32_t)) {
    std::memcpy(to, from, sizeof(uint32_t));
    to += sizeof(uint32_t);
    from += sizeof(uint32_t);
  }
  for (; bytes > 0; bytes--) *to++ = *from++;
}

Dim place_in(unsigned index, const Dim& dim) {
  return {index % dim.x, index / dim.x % dim.y, index / (dim.x * dim.y)};
}

}  // namespace

Fault::Fault(const std::string& what, const Site& site, const Place& place)
    : std::runtime_error(what + " (" + text_of(site) + ", block " + text_of(place.block) +
                         ", thread " + text_of(place.thread) + ", lane " +
                         std::to_string(place.lane) + ")") {}

Operands operands(const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  const auto half = [](uint32_t pair, unsigned i) {
    return half_to_float(static_cast<uint16_t>(pair >> 16 * i));
  };
  Operands floats;
  for (unsigned i = 0; i < 8; i++) floats.a[i / 2][i % 2] = half(a[i / 2], i % 2);
  for (unsigned i = 0; i < 4; i++) floats.b[i / 2][i % 2] = half(b[i / 2], i % 2);
  return floats;
}

Machine::Machine(Order order) : order_(order), random_(order.seed) {}

Machine::~Machine() { drop_arena(); }

void Machine::drop_arena() {
  const Aside aside;
  if (arena_ != nullptr && __asan_unpoison_memory_region != nullptr)
    __asan_unpoison_memory_region(arena_.get(), kArenaBytes);
  arena_.reset();
}

Machine& Machine::current() { return *machine; }

const Place& Machine::place() const { return threads_[running_]->place; }

void Machine::fault(const std::string& what, const Site& site) const {
  throw Fault(what, site, place());
}

void Machine::shuffle(std::vector<unsigned>& order) {
  if (order_.seed == 1)
    std::reverse(order.begin(), order.end());
  else if (order_.seed > 1)
    std::shuffle(order.begin(), order.end(), random_);
}

void Machine::run(const Launch& launch, const std::function<void()>& kernel) {
  Machine* const before = machine;
  machine = this;
  kernel_ = &kernel;
  std::vector<unsigned> blocks(launch.grid.count());
  std::iota(blocks.begin(), blocks.end(), 0u);
  shuffle(blocks);
  std::exception_ptr failure;
  try {
    for (const unsigned block : blocks) run_block(launch, place_in(block, launch.grid));
  } catch (...) {
    failure = std::current_exception();
  }
  order_after(&failure_);
  machine = before;
  if (failure) std::rethrow_exception(failure);
}

void Machine::prepare(const Launch& launch, Dim block) {
  count_ = living_ = launch.block.count();
  waiting_ = 0;
  votes_ = 0;
  failure_ = nullptr;
  while (threads_.size() < count_) threads_.push_back(std::make_unique<Thread>());
  warps_.assign((count_ + kWarpLanes - 1) / kWarpLanes, {});
  for (unsigned i = 0; i < count_; i++) {
    Thread& thread = *threads_[i];
    thread.place = {place_in(i, launch.block),
                    block,
                    launch.block,
                    launch.grid,
                    i / kWarpLanes,
                    i % kWarpLanes};
    thread.state = State::ready;
    thread.copies.clear();
    thread.groups.clear();
    thread.uncommitted = 0;
    thread.executed.clear();
    thread.fiber.prepare(&Machine::run_thread, this);
    warps_[i / kWarpLanes].lanes |= 1u << i % kWarpLanes;
  }
  // New memory for every block: to the thread sanitizer nobody has touched it yet.
  drop_arena();
  arena_ = std::make_unique_for_overwrite<std::byte[]>(kArenaBytes);
  {
    const Aside aside;
    std::memset(arena_.get(), 0xff, kArenaBytes);
  }
  if (__asan_poison_memory_region != nullptr)
    __asan_poison_memory_region(arena_.get(), kArenaBytes);
  order_before(&kernel_);
  used_ = 0;
  variables_.clear();
  dynamic_ = carve(launch.dynamic_shared, 128);
}

void Machine::run_block(const Launch& launch, Dim block) {
  prepare(launch, block);
  std::vector<unsigned> warps(warps_.size());
  std::iota(warps.begin(), warps.end(), 0u);
  while (living_ > 0) {
    bool moved = false;
    shuffle(warps);
    for (const unsigned warp : warps) moved |= run_warp(warp);
    if (failure_) std::rethrow_exception(failure_);
    if (living_ > 0 && waiting_ == living_) {
      open_barrier();
      moved = true;
    }
    if (!moved) report_deadlock();
  }
}

/// Runs the warp's threads until none can go on; false where none could at first. In a random order
/// another warp may overtake.
bool Machine::run_warp(unsigned warp) {
  std::vector<unsigned> lanes(kWarpLanes);
  std::iota(lanes.begin(), lanes.end(), 0u);
  bool moved = false;
  for (bool more = true; more;) {
    more = false;
    shuffle(lanes);
    for (const unsigned lane : lanes) {
      const unsigned index = warp * kWarpLanes + lane;
      if (index >= count_ || threads_[index]->state != State::ready) continue;
      running_ = index;
      if (!threads_[index]->fiber.resume()) {
        threads_[index]->state = State::done;
        living_--;
      }
      if (failure_) return true;
      moved = more = true;
    }
    if (order_.seed > 2 && random_() % 4 == 0) break;
  }
  return moved;
}

void Machine::run_thread(void* self) {
  Machine& machine = *static_cast<Machine*>(self);
  order_after(&machine.kernel_);
  try {
    (*machine.kernel_)();
    const Thread& thread = machine.thread();
    if (!thread.copies.empty())
      machine.fault("a thread ends before its asynchronous copies have arrived", thread.site);
  } catch (...) {
    machine.failure_ = std::current_exception();
  }
  order_before(&machine.failure_);
}

int Machine::barrier(const Site& site, Vote vote, bool value) {
  const Aside aside;
  Thread& thread = this->thread();
  if (waiting_++ == 0) {
    vote_ = vote;
    votes_ = 0;
  }
  votes_ += value ? 1 : 0;
  thread.site = site;
  thread.state = State::at_barrier;
  order_before(&votes_);
  Fiber::suspend();
  order_after(&votes_);
  return thread.vote;
}

void Machine::open_barrier() {
  const int vote = vote_ == Vote::any   ? (votes_ > 0 ? 1 : 0)
                   : vote_ == Vote::all ? (votes_ == static_cast<int>(waiting_) ? 1 : 0)
                                        : votes_;
  const Thread* first = nullptr;
  for (unsigned i = 0; i < count_; i++) {
    Thread& thread = *threads_[i];
    if (thread.state != State::at_barrier) continue;
    if (first == nullptr) first = &thread;
    running_ = i;
    if (!same(first->site, thread.site))
      fault("threads of a block wait at different barriers, others at " + text_of(first->site),
            thread.site);
    thread.vote = vote;
    thread.state = State::ready;
  }
  waiting_ = 0;
}

const std::byte* Machine::exchange(uint32_t mask, std::span<const std::byte> own, const Site& site,
                                   Memory memory) {
  const Aside aside;
  Thread& thread = this->thread();
  const uint32_t self = 1u << thread.place.lane;
  Warp& warp = warps_[thread.place.warp];
  if ((mask & self) == 0) fault("a lane takes part in a collective of others", site);
  if (own.size() > kExchangeBytes) fault("a lane offers too much", site);
  auto found = std::find_if(warp.collectives.begin(), warp.collectives.end(),
                            [&](const Collective& one) { return one.mask == mask; });
  Collective& collective =
      found != warp.collectives.end() ? *found : warp.collectives.emplace_back();
  collective.mask = mask;
  if (collective.arrived != 0 && !same(collective.site, site))
    fault("lanes of one mask are in different collectives, others at " + text_of(collective.site),
          site);
  collective.site = site;
  std::byte* const offers =
      collective.offers.data() + collective.turn % 2 * kWarpLanes * kExchangeBytes;
  copy(offers + thread.place.lane * kExchangeBytes, own.data(), own.size());
  collective.arrived |= self;
  if (memory == Memory::ordered) order_before(&warp);
  if (collective.arrived == (mask & warp.lanes)) {
    collective.arrived = 0;
    collective.turn++;
    for (unsigned lane = 0; lane < kWarpLanes; lane++) {
      if ((mask & warp.lanes & 1u << lane) == 0) continue;
      Thread& other = *threads_[thread.place.warp * kWarpLanes + lane];
      if (other.state == State::in_collective) other.state = State::ready;
    }
  } else {
    thread.site = site;
    thread.state = State::in_collective;
    Fiber::suspend();
  }
  if (memory == Memory::ordered) order_after(&warp);
  return offers;
}

void Machine::report_deadlock() {
  for (unsigned i = 0; i < count_; i++) {
    if (threads_[i]->state == State::done) continue;
    running_ = i;
    fault(threads_[i]->state == State::at_barrier
              ? "a thread waits at a barrier that others never reach"
              : "a lane waits in a collective that others of its mask never reach",
          threads_[i]->site);
  }
  std::terminate();  // a block whose threads are all done has ended
}

std::byte* Machine::carve(size_t bytes, size_t alignment) {
  const size_t at = (used_ + kRedzone + alignment - 1) / alignment * alignment;
  if (at + bytes + kRedzone > kArenaBytes)
    throw std::length_error("a block asks for more shared memory than there is");
  used_ = at + bytes;
  std::byte* memory = arena_.get() + at;
  if (__asan_unpoison_memory_region != nullptr) __asan_unpoison_memory_region(memory, bytes);
  return memory;
}

void Machine::copy_offer(const std::byte* offers, unsigned lane, std::span<std::byte> to) {
  const Aside aside;
  copy(to.data(), offers + lane * kExchangeBytes, to.size());
}

std::array<double, 4> Machine::product(const std::byte* offers, unsigned lane) {
  const Aside aside;
  const auto of = [&](unsigned other) {
    return reinterpret_cast<const Operands*>(offers + other * kExchangeBytes);
  };
  const unsigned row = lane / 4, column = lane % 4 * 2;
  std::array<double, 4> sums{};  // of two rows, eight apart, and of two columns
  for (unsigned half = 0; half < 2; half++) {
    for (unsigned pair = 0; pair < 4; pair++) {
      const Operands* const left = of(4 * row + pair);
      const Operands* const first = of(4 * column + pair);
      const Operands* const second = of(4 * (column + 1) + pair);
      for (unsigned in_pair = 0; in_pair < 2; in_pair++) {
        for (unsigned i = 0; i < 4; i++) {
          const double element = left->a[2 * half + i / 2][in_pair];
          sums[i] += element * (i % 2 == 0 ? first : second)->b[half][in_pair];
        }
      }
    }
  }
  return sums;
}

void Machine::count_access(Access access, const void* at, size_t bytes, const Site& site) {
  if (!counts_memory_) return;
  const Aside aside;
  Thread& thread = this->thread();
  const Instruction instruction{site.file_name(), uint64_t{site.line()} << 32 | site.column()};
  const size_t times = thread.executed[instruction]++;
  auto& sectors = warps_[thread.place.warp].touched[{instruction, times}];
  const auto first = reinterpret_cast<uintptr_t>(at) / kSectorBytes;
  const auto last = (reinterpret_cast<uintptr_t>(at) + bytes - 1) / kSectorBytes;
  for (uintptr_t sector = first; sector <= last; sector++) {
    if (!sectors.insert(sector).second) continue;
    (access == Access::read ? counts_.global_read : counts_.global_written) += kSectorBytes;
  }
}

void* Machine::shared(const void* key, size_t bytes, size_t alignment) {
  const Aside aside;
  for (const Variable& variable : variables_)
    if (variable.key == key) return variable.at;
  std::byte* memory = carve(bytes, std::max<size_t>(alignment, 16));
  variables_.push_back({key, memory});
  return memory;
}

void Machine::copy_async(void* to, const void* from, size_t bytes, const Site& site) {
  const auto address = reinterpret_cast<uintptr_t>(to) | reinterpret_cast<uintptr_t>(from);
  if ((bytes != 4 && bytes != 8 && bytes != 16) || address % bytes != 0)
    fault("an asynchronous copy is not of 4, 8 or 16 bytes, or not aligned to them", site);
  std::memset(to, 0xff, bytes);  // a write of the thread's
  const Aside aside;
  count_access(Access::read, from, bytes, site);
  Thread& thread = this->thread();
  thread.site = site;
  thread.copies.push_back({to, from, bytes});
  thread.uncommitted++;
}

void Machine::commit_copies() {
  const Aside aside;
  Thread& thread = this->thread();
  thread.groups.push_back(thread.uncommitted);
  thread.uncommitted = 0;
}

void Machine::wait_for_copies(size_t groups_left) {
  Thread& thread = this->thread();
  while (thread.groups.size() > groups_left) {
    for (; thread.groups.front() > 0; thread.groups.front()--) {
      const Copy& copy = thread.copies.front();
      std::memcpy(copy.to, copy.from, copy.bytes);
      const Aside aside;
      thread.copies.pop_front();
    }
    const Aside aside;
    thread.groups.pop_front();
  }
}

}  // namespace sightline::attention::cuda::emulator
