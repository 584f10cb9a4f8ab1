#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <memory>
#include <span>
#include <thread>
#include <vector>

#include "bench.h"

namespace sightline::bench {
namespace {

// Much larger than any last-level cache, so that hardly anything is left there from one pass to the
// next.
constexpr size_t kBytes = size_t{1} << 30;
constexpr int kPasses = 5;

using Words = std::span<uint64_t>;

/// Calls `work` with every thread's part of the words; returns when all are done.
void in_parallel(Words words, int threads, const std::function<void(Words)>& work) {
  const size_t part = words.size() / static_cast<size_t>(threads);
  std::vector<std::jthread> running;
  for (size_t start = 0; start + part <= words.size(); start += part)
    running.emplace_back(work, words.subspan(start, part));
}

/// Lanes enough that the additions never wait for each other: only the loads take time.
uint64_t sum(Words words) {
  std::array<uint64_t, 32> lanes{};
  for (size_t at = 0; at + lanes.size() <= words.size(); at += lanes.size())
    for (size_t lane = 0; lane < lanes.size(); lane++) lanes[lane] += words[at + lane];
  uint64_t total = 0;
  for (const uint64_t lane : lanes) total += lane;
  return total;
}

}  // namespace

void bandwidth(const Arguments& arguments) {
  const int threads = arguments.count("threads");
  const size_t count = kBytes / sizeof(uint64_t);
  const auto buffer = std::make_unique_for_overwrite<uint64_t[]>(count);
  const Words words(buffer.get(), count);
  // Written first by the thread that reads it, and not with zeros, which may share a page.
  in_parallel(words, threads, [](Words part) { std::fill(part.begin(), part.end(), 1); });

  double seconds = 0;
  for (int pass = 0; pass < kPasses; pass++) {
    const auto start = std::chrono::steady_clock::now();
    in_parallel(words, threads,
                [](Words part) { [[maybe_unused]] volatile uint64_t used = sum(part); });
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
    seconds = pass == 0 ? taken.count() : std::min(seconds, taken.count());
  }
  std::printf("{\"threads\": %d, \"bytes\": %zu, \"bytesPerSecond\": %.0f}\n", threads, kBytes,
              static_cast<double>(kBytes) / seconds);
}

}  // namespace sightline::bench
