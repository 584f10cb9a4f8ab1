#include "attention.h"

#include <chrono>
#include <cmath>
#include <cstring>
#include <iomanip>
#include <iostream>
#include <memory>
#include <random>
#include <span>
#include <stdexcept>
#include <thread>

#include "attention/cpu/attend.h"
#include "attention/format/format.h"
#include "attention/half.h"

namespace sightline::bench {
namespace {

using namespace attention;

const cpu::Kernel& kernel_named(const std::string& name) {
  const cpu::Kernel* kernel = cpu::choose_kernel(name == "fastest" ? "" : name);
  if (kernel == nullptr) throw std::invalid_argument("no kernel " + name + " runs here");
  return *kernel;
}

Tier tier_of(const std::string& name) {
  const auto tier = tier_named(name);
  if (!tier) throw std::invalid_argument("no tier is called " + name);
  return *tier;
}

/// One KV head's part of a full block.
std::vector<std::byte> coded_part(Tier tier, int head_dim) {
  const Extent extent{head_dim, kBlockTokens, kBlockTokens};
  std::vector<uint16_t> halves;
  for (const float x : normal_numbers(static_cast<size_t>(head_dim) * kBlockTokens))
    halves.push_back(float_to_half(x));
  std::vector<std::byte> part(part_bytes(tier, extent));
  encode_keys(tier.k, halves.data(), part.data(), extent);
  encode_values(tier.v, halves.data(), part.data() + values_offset(tier, extent), extent);
  return part;
}

/// The blocks of every layer, all with the same contents at places of their own.
class Layers {
 public:
  Layers(const AttentionCase& what, Tier tier) {
    if (what.depth % kBlockTokens != 0)
      throw std::invalid_argument("--depth must be a multiple of " + std::to_string(kBlockTokens));
    const std::vector<std::byte> part = coded_part(tier, what.head_dim);
    const size_t blocks = static_cast<size_t>(what.depth / kBlockTokens);
    const size_t parts = blocks * static_cast<size_t>(what.layers * what.kv_heads);
    memory_.reset(new (std::align_val_t{kPartAlignment}) std::byte[parts * part.size()]);
    for (size_t i = 0; i < parts; i++)
      std::memcpy(memory_.get() + i * part.size(), part.data(), part.size());
    const std::byte* data = memory_.get();
    for (int layer = 0; layer < what.layers; layer++) {
      std::vector<Block>& list = layers_.emplace_back();
      for (int first = 0; first < what.depth; first += kBlockTokens) {
        Block block{.first = first, .tokens = kBlockTokens, .count = 1, .copies = {}};
        block.copies[0] = {
            .data = data, .tier = tier, .capacity = kBlockTokens, .tokens = kBlockTokens};
        list.push_back(block);
        data += part.size() * static_cast<size_t>(what.kv_heads);
      }
    }
  }

  const std::vector<std::vector<Block>>& blocks() const { return layers_; }

 private:
  struct Free {
    void operator()(std::byte* p) const {
      ::operator delete[](p, std::align_val_t{kPartAlignment});
    }
  };
  std::unique_ptr<std::byte[], Free> memory_;
  std::vector<std::vector<Block>> layers_;
};

}  // namespace

AttentionCase::AttentionCase(const Arguments& arguments)
    : queries(arguments.count("queries")),
      heads(arguments.count("heads")),
      kv_heads(arguments.count("kv-heads")),
      head_dim(arguments.count("head-dim")),
      depth(arguments.count("depth")),
      layers(arguments.count("layers")),
      threads(arguments.count("threads")) {
  if (heads % kv_heads != 0)
    throw std::invalid_argument("--heads must be a multiple of --kv-heads");
  if (head_dim % 16 != 0) throw std::invalid_argument("--head-dim must be a multiple of 16");
}

std::vector<float> normal_numbers(size_t count) {
  std::mt19937 source(1);
  std::normal_distribution<float> normal;
  std::vector<float> numbers(count);
  for (float& x : numbers) x = normal(source);
  return numbers;
}

void time_layers(const std::function<void()>& run) {
  for (std::string line; std::getline(std::cin, line);) {
    const auto start = std::chrono::steady_clock::now();
    run();
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
    std::cout << std::setprecision(9) << taken.count() << std::endl;
  }
}

void own_attention(const Arguments& arguments) {
  const AttentionCase what(arguments);
  const cpu::Kernel& kernel = kernel_named(arguments.text("kernel"));
  const Layers layers(what, tier_of(arguments.text("tier")));

  const Shape shape{what.queries, what.heads, what.kv_heads, what.head_dim};
  const int64_t stride = int64_t{what.heads} * what.head_dim;
  const std::vector<float> q = normal_numbers(static_cast<size_t>(what.queries * stride));
  std::vector<float> out(q.size());
  const std::vector<int32_t> visible(static_cast<size_t>(what.queries), what.depth);
  Problem problem{};
  problem.shape = shape;
  problem.q = {q.data(), stride, what.head_dim};
  problem.out = {out.data(), stride, what.head_dim};
  problem.scale = 1 / std::sqrt(static_cast<float>(what.head_dim));
  problem.visible = visible.data();

  const auto plan = cpu::Plan::make(shape, visible, layers.blocks().front(), what.threads);
  cpu::Workspace workspace;
  float* floats = workspace.reserve(plan.workspace_floats());
  time_layers([&] {
    for (const std::vector<Block>& blocks : layers.blocks()) {
      problem.blocks = blocks;
      cpu::Attention attention(kernel, plan, problem, floats);
      std::vector<std::jthread> others;
      for (int thread = 1; thread < what.threads; thread++)
        others.emplace_back([&, thread] { attention.work(thread); });
      attention.work(0);
    }
  });
}

void list_kernels(const Arguments&) {
  std::cout << "{\"kernels\": [";
  const char* separator = "";
  for (const cpu::Kernel& kernel : cpu::kernels()) {
    if (!kernel.runs_here()) continue;
    std::cout << separator << '"' << kernel.name << '"';
    separator = ", ";
  }
  std::cout << "]}\n";
}

}  // namespace sightline::bench
