// What a profiled model tells of its steps.

#include <doctest/doctest.h>

#include <map>
#include <set>
#include <string>

#include "ggml.h"
#include "gguf.h"
#include "runtime/model.h"
#include "support.h"

using namespace sightline::runtime;
using namespace sightline::test;
namespace cache = sightline::cache;
namespace device = sightline::device;

namespace {

const cache::Policy kFull{.kind = cache::PolicyKind::full, .sink = 0};

LoadOptions profiled(std::variant<cache::Policy, StockCache> cache,
                     Profiling profiling = Profiling::operations, int32_t threads = 1) {
  LoadOptions options = bundled(std::move(cache), threads);
  options.profiling = profiling;
  return options;
}

device::Recorded take(Model& model) {
  Result<device::Recorded> recorded = model.take_profile();
  REQUIRE_MESSAGE(recorded, (recorded ? "" : recorded.error().message));
  return std::move(recorded.value());
}

/// How often each operation ran in a step, by name and role.
std::map<std::string, int> counts(const device::Recorded& recorded, int32_t step) {
  std::map<std::string, int> counts;
  for (const device::Event& event : recorded.events) {
    if (event.step != step) continue;
    const auto& operation = recorded.operations[static_cast<size_t>(event.operation)];
    counts[operation.name]++;
    counts[operation.name + " " + operation.role]++;
  }
  return counts;
}

template <typename Of>
double sum(const device::Recorded& recorded, int32_t step, const std::string& name, Of of) {
  double sum = 0;
  for (const device::Event& event : recorded.events)
    if (event.step == step &&
        recorded.operations[static_cast<size_t>(event.operation)].name == name)
      sum += of(event.cost);
  return sum;
}

/// Elements of the matrices that a token is multiplied with: those of the layers, and the output's,
/// which may be the embedding's.
struct Matrices {
  double layers = 0, output = 0;
  int64_t heads_times_size = 0;
};

Matrices matrices() {
  ggml_context* tensors = nullptr;
  gguf_context* file = gguf_init_from_file(SIGHTLINE_TEST_MODEL, {true, &tensors});
  REQUIRE(file != nullptr);
  Matrices found;
  for (int64_t i = 0; i < gguf_get_n_tensors(file); i++) {
    const std::string name = gguf_get_tensor_name(file, i);
    const ggml_tensor* tensor = ggml_get_tensor(tensors, name.c_str());
    if (ggml_n_dims(tensor) < 2) continue;
    const auto elements = static_cast<double>(ggml_nelements(tensor));
    if (name.starts_with("blk.")) found.layers += elements;
    if (name == "output.weight" || (name == "token_embd.weight" && found.output == 0))
      found.output = elements;
    if (name == "blk.0.attn_q.weight") found.heads_times_size = tensor->ne[1];
  }
  gguf_free(file);
  ggml_free(tensors);
  return found;
}

double flops(const device::Cost& cost) { return cost.flops; }
double cache_bytes(const device::Cost& cost) {
  double sum = 0;
  for (const device::TierBytes& tier : cost.cache) sum += static_cast<double>(tier.bytes);
  return sum;
}

}  // namespace

TEST_CASE("a profiled model gives the same logits and tokens") {
  const auto prompt = tokens(500);
  for (const auto& policy : {kFull, selective("int8", 128), selective("int4", 128)}) {
    for (const int32_t threads : {1, 2}) {
      const auto plain = load(bundled(policy, threads));
      const auto one_by_one = load(profiled(policy, Profiling::operations, threads));
      CHECK(evaluate(*plain, prompt) == evaluate(*one_by_one, prompt));
      for (const llama_token token : tokens(5, 2))
        CHECK(evaluate(*plain, {token}) == evaluate(*one_by_one, {token}));
      CHECK(plain->stats().account == one_by_one->stats().account);
    }
  }
}

TEST_CASE("each operation of a step is recorded once, with what it is bound to do") {
  const auto model = load(profiled(kFull));
  constexpr int kPrompt = 300;
  evaluate(*model, tokens(kPrompt));
  evaluate(*model, {7});
  const device::Recorded recorded = take(*model);
  REQUIRE(recorded.steps.size() == 2);
  CHECK(recorded.lost_steps == 0);
  const Matrices known = matrices();
  const int layers = model->info().layers;
  for (int32_t step = 0; step < 2; step++) {
    auto count = counts(recorded, step);
    CHECK(count["MUL_MAT attn_q"] == layers);
    CHECK(count["MUL_MAT ffn_down"] == layers);
    CHECK(count["ATTEND attention"] == layers);
    CHECK(count["APPEND cache_k"] == layers);
    CHECK(count["APPEND cache_v"] == layers);
    CHECK(count["GET_ROWS token_embd"] == 1);  // llama.cpp's CPU device has it
    CHECK(count["CODE"] == 0);

    const int tokens = step == 0 ? kPrompt : 1;
    CHECK(recorded.steps[static_cast<size_t>(step)].tokens == tokens);
    // Only the last token goes through the last layer's feed-forward network: what is known exactly
    // is a step of one token.
    if (step == 1)
      CHECK(sum(recorded, step, "MUL_MAT", flops) == 2 * (known.layers + known.output));
    const int before = step == 0 ? 0 : kPrompt;
    double seen = 0;
    for (int i = 1; i <= tokens; i++) seen += before + i;
    CHECK(sum(recorded, step, "ATTEND", flops) ==
          4 * static_cast<double>(known.heads_times_size) * seen * layers);
  }
  for (const device::Event& event : recorded.events) {
    CHECK(event.duration >= 0);
    const device::ProfiledStep& step = recorded.steps[static_cast<size_t>(event.step)];
    CHECK(event.start >= step.start);
    CHECK(event.start + event.duration <= step.start + step.duration + 0.001);
    const auto& operation = recorded.operations[static_cast<size_t>(event.operation)];
    CHECK_FALSE(operation.device.empty());
  }
  CHECK(take(*model).events.empty());
}

TEST_CASE("attention reads what the account holds, and coding is told apart") {
  for (const auto& policy : {kFull, selective("int8", 128), selective("int4", 128)}) {
    const auto model = load(profiled(policy));
    evaluate(*model, tokens(600));
    for (int i = 0; i < 140; i++) {
      evaluate(*model, {static_cast<llama_token>(i)});
    }
    const device::Recorded recorded = take(*model);
    REQUIRE(recorded.steps.size() >= 141);
    int coding_steps = 0;
    for (size_t i = recorded.steps.size() - 140; i < recorded.steps.size(); i++) {
      const auto step = static_cast<int32_t>(i);
      const cache::Account& account = recorded.steps[i].account;
      CHECK(account.tokens == recorded.steps[i].first + 1);
      CHECK(sum(recorded, step, "ATTEND", cache_bytes) == static_cast<double>(account.bytes()));
      if (counts(recorded, step)["CODE"] == 0) continue;
      coding_steps++;
      CHECK(counts(recorded, step)["CODE"] == 2 * model->info().layers);
    }
    CHECK((coding_steps > 0) == (policy.kind != cache::PolicyKind::full));
    std::set<std::string> tiers, kernels;
    for (const device::Operation& operation : recorded.operations) {
      if (operation.name != "ATTEND") continue;
      tiers.insert(operation.tiers);
      kernels.insert(operation.kernel);
    }
    const std::string coded = policy.kind == cache::PolicyKind::full
                                  ? "fp16"
                                  : "fp16+" + sightline::attention::name_of(policy.tier);
    CHECK(tiers.contains(coded));
    CHECK(kernels == std::set<std::string>{model->info().kernels});
  }
}

TEST_CASE("llama.cpp's own cache is profiled as well") {
  const auto model = load(profiled(StockCache{GGML_TYPE_F16, true}));
  evaluate(*model, tokens(100));
  const device::Recorded recorded = take(*model);
  REQUIRE(recorded.steps.size() == 1);
  auto count = counts(recorded, 0);
  CHECK(count["FLASH_ATTN_EXT"] == model->info().layers);
  CHECK(count["MUL_MAT attn_q"] == model->info().layers);
  CHECK(count["SET_ROWS"] == 2 * model->info().layers);
}

TEST_CASE("only steps are recorded where only these are asked for, and whole ones") {
  const auto model = load(profiled(kFull, Profiling::steps));
  evaluate(*model, tokens(600));
  Cancel cancel{true};
  CHECK_FALSE(model->evaluate(tokens(600), false, cancel));
  const device::Recorded recorded = take(*model);
  CHECK(recorded.events.empty());
  REQUIRE(recorded.steps.size() == 2);
  CHECK(recorded.steps[1].first == 512);
  CHECK(recorded.steps[1].account.bytes() == model->stats().account.bytes());

  const auto plain = load(bundled(kFull));
  const Result<device::Recorded> none = plain->take_profile();
  REQUIRE_FALSE(none);
  CHECK(none.error().code == Code::bad_argument);
}

TEST_CASE("a profile has an end") {
  device::Profile profile;
  const device::Operation operation{
      .name = "ADD", .role = {}, .shape = {}, .device = "CPU", .kernel = {}, .tiers = {}};
  constexpr size_t kPerStep = device::Profile::kMostEvents / 2 - 1;
  for (int step = 0; step < 4; step++) {
    profile.begin_step(step, 1);
    for (size_t i = 0; i < kPerStep; i++)
      profile.add(operation, {1, 4}, device::Profile::Clock::now(), device::Profile::Clock::now());
    profile.end_step(device::Profile::Clock::now(), {}, 0);
  }
  const device::Recorded recorded = profile.take();
  CHECK(recorded.steps.size() == 2);
  CHECK(recorded.events.size() == 2 * kPerStep);
  CHECK(recorded.operations.size() == 1);
  CHECK(recorded.lost_steps == 2);
}
