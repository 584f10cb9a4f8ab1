// The bundled model from end to end on a GPU: ggml's CUDA device is stood in for, the GPU is the
// emulator's.

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <map>
#include <optional>
#include <random>
#include <set>

#include "../stand_in/cuda_device.h"
#include "attention/cuda/emulator/kernels.h"
#include "attention/format/format.h"
#include "gguf.h"
#include "runtime/libraries.h"
#include "runtime/model.h"
#include "support.h"

using namespace sightline::runtime;
using namespace sightline::test;
namespace cache = sightline::cache;
namespace emulator = sightline::attention::cuda::emulator;

namespace {

constexpr size_t kGpuBytes = size_t{1} << 30;
constexpr int32_t kLayers = 4;  // of the bundled model

ggml_backend_dev_t cpu() {
  Result<ggml_backend_dev_t> device = cpu_device(SIGHTLINE_TEST_LIBRARIES);
  REQUIRE(device);
  return device.value();
}

/// The bundled model with its weights as floats, whose products are rounded the same whatever
/// memory they lie in: what is left to differ is attention.
const std::string& float_model() {
  static const std::string path = [] {
    ggml_context* tensors = nullptr;
    gguf_context* from = gguf_init_from_file(SIGHTLINE_TEST_MODEL, {false, &tensors});
    REQUIRE(from != nullptr);
    gguf_context* to = gguf_init_empty();
    gguf_set_kv(to, from);
    std::vector<std::vector<float>> elements;
    std::vector<ggml_tensor> floats;
    for (int64_t i = 0; i < gguf_get_n_tensors(from); i++) {
      const ggml_tensor* tensor = ggml_get_tensor(tensors, gguf_get_tensor_name(from, i));
      const auto count = ggml_nelements(tensor);
      elements.emplace_back(static_cast<size_t>(count));
      const auto* traits = ggml_get_type_traits(tensor->type);
      if (tensor->type == GGML_TYPE_F32) {
        std::memcpy(elements.back().data(), tensor->data, ggml_nbytes(tensor));
      } else {
        traits->to_float(tensor->data, elements.back().data(), count);
      }
      ggml_tensor whole = *tensor;
      whole.type = GGML_TYPE_F32;
      whole.nb[0] = sizeof(float);
      for (int d = 1; d < GGML_MAX_DIMS; d++)
        whole.nb[d] = whole.nb[d - 1] * static_cast<size_t>(whole.ne[d - 1]);
      whole.data = elements.back().data();
      floats.push_back(whole);
    }
    for (const ggml_tensor& tensor : floats) gguf_add_tensor(to, &tensor);
    const std::string file =
        (std::filesystem::temp_directory_path() /
         ("sightline-float-" + std::to_string(std::random_device{}()) + ".gguf"))
            .string();
    REQUIRE(gguf_write_to_file(to, file.c_str(), false));
    gguf_free(to);
    gguf_free(from);
    ggml_free(tensors);
    return file;
  }();
  return path;
}

/// A GPU, ggml's device on it, and a model on that.
struct OnGpu {
  emulator::EmulatedGpu gpu;
  CudaDevice inner;
  std::unique_ptr<Model> model;

  explicit OnGpu(uint32_t seed = 0, size_t bytes = kGpuBytes)
      : gpu({.seed = seed, .memory_bytes = bytes, .kernels = emulator::kernels()}),
        inner(gpu, cpu()) {}

  Result<Done> load(LoadOptions options, int32_t layers = 0, bool required = true) {
    options.gpu_layers = layers;
    options.gpu_required = required;
    options.gpu = GpuDevice{inner.handle(), {&gpu.driver(), 0, emulator::kEmulatedImages}};
    const Cancel never{false};
    Result<std::unique_ptr<Model>> loaded = Model::load(
        options, [](float) {}, never);
    if (!loaded) return loaded.error();
    model = std::move(loaded.value());
    return Done{};
  }
};

LoadOptions options(const cache::Policy& policy) {
  LoadOptions options;
  options.model_path = float_model();
  options.libraries_path = SIGHTLINE_TEST_LIBRARIES;
  options.threads = 1;
  options.context_tokens = 1024;
  options.cache = policy;
  return options;
}

}  // namespace

TEST_CASE("the bundled model gives the CPU's logits on a GPU") {
  // Where attention rounds otherwise, elements between two codes fall to the other one.
  const std::pair<const char*, double> tiers[] = {{"fp16", 5e-6}, {"int8", 1e-3}, {"int4", 5e-2}};
  uint32_t seed = 0;
  for (const auto& [tier, bound] : tiers) {
    CAPTURE(std::string(tier));
    OnGpu gpu(seed++);
    const Result<Done> loaded = gpu.load(options(selective(tier, 128)));
    REQUIRE_MESSAGE(loaded, (loaded ? "" : loaded.error().message));
    const auto reference = load(options(selective(tier, 128)));
    const auto prompt = tokens(420);
    const double prefill = divergence(evaluate(*reference, prompt), evaluate(*gpu.model, prompt));
    double decode = 0;
    std::vector<float> last;
    const auto more = tokens(4, 2);
    for (const llama_token token : more) {
      last = evaluate(*gpu.model, {token});
      decode = std::max(decode, divergence(evaluate(*reference, {token}), last));
    }
    MESSAGE(std::string(tier) << ": prefill " << prefill << ", decode " << decode << " nats");
    CHECK(prefill < bound);
    CHECK(decode < bound);
    CHECK(gpu.model->stats().account == reference->stats().account);
    // The first graph of a shape is not the second's, but those behind it are the same.
    CHECK(gpu.inner.repeated_graphs() > 0);

    // Token by token or at once is the same.
    if (std::string(tier) != "int8") continue;
    auto all = prompt;
    all.insert(all.end(), more.begin(), more.end());
    gpu.model->truncate(0);
    CHECK(divergence(evaluate(*gpu.model, all), last) < 1e-6);
  }
}

TEST_CASE("a profiled model gives the same logits on a GPU, and its operations one by one") {
  for (const int32_t layers : {kLayers, kLayers / 2}) {
    std::vector<std::vector<float>> expected;
    {
      OnGpu plain(1);
      REQUIRE(plain.load(options(selective("int8", 128)), layers));
      expected = {evaluate(*plain.model, tokens(300)), evaluate(*plain.model, {7})};
    }
    OnGpu gpu(1);
    LoadOptions profiled = options(selective("int8", 128));
    profiled.profiling = Profiling::operations;
    REQUIRE(gpu.load(profiled, layers));
    CHECK(evaluate(*gpu.model, tokens(300)) == expected[0]);
    CHECK(evaluate(*gpu.model, {7}) == expected[1]);
    auto recorded = gpu.model->take_profile();
    REQUIRE(recorded);
    const sightline::device::Recorded& all = recorded.value();
    REQUIRE(all.steps.size() == 2);
    std::map<std::string, int> counts;  // of the last step
    double read = 0;
    std::set<std::string> coded;
    for (const auto& event : all.events) {
      const auto& operation = all.operations[static_cast<size_t>(event.operation)];
      if (operation.name == "CODE") coded.insert(operation.tiers);
      if (event.step != 1) continue;
      counts[operation.name + (operation.kernel == "cuda" ? " cuda" : "")]++;
      for (const auto& tier : event.cost.cache) read += static_cast<double>(tier.bytes);
    }
    CHECK(counts["MUL_MAT"] == 7 * kLayers + 1);
    CHECK(counts["ATTEND cuda"] == layers);
    CHECK(counts["ATTEND"] == kLayers - layers);
    CHECK(counts["APPEND cuda"] == 2 * layers);
    CHECK(counts["APPEND"] == 2 * (kLayers - layers));
    CHECK(read == static_cast<double>(all.steps[1].account.bytes()));
    CHECK(coded == std::set<std::string>{"fp16>int8"});
  }
}

TEST_CASE("a GPU without room for the model, its context or the cache says so") {
  const Cancel never{false};
  const auto prompt = tokens(300);
  std::set<std::string> said;
  const auto note = [&](const Error& error) {
    CHECK(error.code == Code::out_of_memory);
    CHECK(error.message.find("GPU emulated (") != std::string::npos);
    said.insert(error.message.substr(0, error.message.find("GPU")));
  };
  for (const size_t mebibytes : {4, 16, 20, 24, 28}) {
    CAPTURE(mebibytes);
    OnGpu gpu(0, mebibytes << 20);
    const Result<Done> loaded = gpu.load(options(selective("fp16", 128)), kLayers);
    if (!loaded) {
      note(loaded.error());
      continue;
    }
    if (const auto logits = gpu.model->evaluate(prompt, false, never); !logits) {
      note(logits.error());
      CHECK(gpu.model->stats().account.tokens == 0);
      // What is shorter still runs.
      gpu.model->truncate(0);
      CHECK(gpu.model->evaluate(tokens(10), false, never));
    }
  }
  for (const std::string& message : said) MESSAGE(message);
  CHECK(said.size() >= 2);
}

TEST_CASE("where a GPU is only wished for the CPU serves, and says why") {
  OnGpu gpu(0, size_t{4} << 20);
  REQUIRE(gpu.load(options(selective("int8", 128)), 0, false));
  CHECK_FALSE(gpu.model->info().gpu);
  CHECK(gpu.model->info().gpu_reason.find("does not fit on the GPU") != std::string::npos);
  CHECK(gpu.model->info().kernels != "cuda");

  LoadOptions searching = options(selective("int8", 128));
  searching.gpu = GpuSearch{};
  const Cancel never{false};
  auto found = Model::load(
      searching, [](float) {}, never);
  REQUIRE(found);
  CHECK_FALSE(found.value()->info().gpu_reason.empty());
  searching.gpu_required = true;
  const auto missing = Model::load(
      searching, [](float) {}, never);
  REQUIRE_FALSE(missing);
  CHECK(missing.error().code == Code::gpu_unavailable);
}

TEST_CASE("a policy that the GPU's kernels do not know is refused by name") {
  OnGpu gpu;
  for (const auto kind : {cache::PolicyKind::lowrank}) {
    cache::Policy policy;
    policy.kind = kind;
    const Result<Done> loaded = gpu.load(options(policy));
    REQUIRE_FALSE(loaded);
    CHECK(loaded.error().code == Code::gpu_unavailable);
    CHECK(loaded.error().message.find(cache::name_of(kind)) != std::string::npos);
  }
}

TEST_CASE("where the GPU fails in a step the driver's word is told, and nothing of the step kept") {
  OnGpu gpu;
  const Result<Done> loaded = gpu.load(options(selective("int8", 128)));
  REQUIRE(loaded);
  const Cancel never{false};
  REQUIRE(gpu.model->evaluate(tokens(20), false, never));
  gpu.gpu.set_launching(false);
  const auto lost = gpu.model->evaluate(tokens(5), false, never);
  REQUIRE_FALSE(lost);
  MESSAGE(lost.error().message);
  CHECK(lost.error().code == Code::gpu_failed);
  CHECK(gpu.model->stats().account.tokens == 20);
  gpu.gpu.set_launching(true);
  CHECK(gpu.model->evaluate(tokens(5), false, never));
  CHECK(gpu.model->stats().account.tokens == 25);
}

TEST_CASE("layers on the CPU beside a GPU have their cache there, and the model gives the same") {
  cache::Policy by_budget;
  by_budget.kind = cache::PolicyKind::automatic;
  by_budget.window = 128;
  cache::Policy heavy = selective("int8", 128);
  heavy.kind = cache::PolicyKind::h2o;
  struct Case {
    cache::Policy policy;
    int32_t gpu_layers;
    double bound;
  };
  const Case cases[] = {{selective("fp16", 128), 2, 5e-6},
                        {selective("int8", 128), 1, 1e-3},
                        {by_budget, 3, 5e-2},
                        {heavy, 3, 1e-3}};
  uint32_t seed = 0;
  for (const auto& [policy, layers, bound] : cases) {
    CAPTURE(cache::name_of(policy.kind));
    LoadOptions chosen = options(policy);
    // Too little for FP16 throughout, enough for a step and the window.
    if (policy.kind == cache::PolicyKind::automatic) chosen.cache_budget_bytes = 3400 << 10;
    const Cancel never{false};
    auto reference = Model::load(
        chosen, [](float) {}, never);
    REQUIRE(reference);
    Model& cpu = *reference.value();
    const auto prompt = tokens(420);
    const auto more = tokens(3, 2);
    const auto expected = evaluate(cpu, prompt);
    std::vector<std::vector<float>> expected_more;
    for (const llama_token token : more) expected_more.push_back(evaluate(cpu, {token}));
    OnGpu gpu(seed++ % 6);
    const Result<Done> loaded = gpu.load(chosen, layers);
    REQUIRE_MESSAGE(loaded, (loaded ? "" : loaded.error().message));
    CHECK(gpu.model->info().gpu_layers == layers);
    CHECK(gpu.model->info().owned_layers == kLayers);
    CHECK(gpu.model->stats().passed_bytes == 0);
    const int graphs_before = gpu.inner.graphs();
    CHECK(divergence(expected, evaluate(*gpu.model, prompt)) < bound);
    const int graphs_of_prompt = gpu.inner.graphs() - graphs_before;
    // A step that fails on the GPU leaves nothing of itself on the CPU.
    gpu.gpu.set_launching(false);
    CHECK_FALSE(gpu.model->evaluate(tokens(400, 3), false, never));
    CHECK(gpu.model->stats().account.tokens == 420);
    gpu.gpu.set_launching(true);
    for (size_t i = 0; i < more.size(); i++) {
      const int before = gpu.inner.graphs();
      CHECK(divergence(expected_more[i], evaluate(*gpu.model, {more[i]})) < bound);
      // Products of a long batch are the GPU's whatever layer they are of.
      CHECK(gpu.inner.graphs() - before < graphs_of_prompt);
    }
    CHECK(gpu.model->stats().account == cpu.stats().account);
  }
}

TEST_CASE("drafts on a GPU, with all layers or some, change neither the tokens nor the cache") {
  for (const int32_t layers : {0, 2}) {
    LoadOptions chosen = options(selective("int8", 128));
    chosen.step_costs = StepCosts{{1, 1, 1, 1}};
    OnGpu gpu;
    REQUIRE(gpu.load(chosen, layers));
    const auto words = tokens(50);
    auto prompt = words;
    for (int i = 0; i < 3; i++) prompt.insert(prompt.end(), words.begin(), words.end());
    const Cancel never{false};
    const auto run = [&](bool speculate, float temperature) {
      gpu.model->truncate(0);
      auto result = gpu.model->complete({.tokens = prompt,
                                         .max_tokens = 24,
                                         .sampling = {temperature, 40, 1, 0, 1},
                                         .stop_tokens = {},
                                         .shared_tokens = 0,
                                         .speculate = speculate},
                                        {[](int32_t, int32_t) {}, [](std::string_view) {}}, never);
      REQUIRE(result);
      return std::move(result.value());
    };
    int32_t drafted = 0, accepted = 0;
    for (const float temperature : {0.0f, 0.7f}) {
      const Completion without = run(false, temperature);
      const cache::Account account = gpu.model->stats().account;
      const Completion with = run(true, temperature);
      CHECK(with.tokens == without.tokens);
      CHECK(gpu.model->stats().account == account);
      drafted += with.drafted_tokens;
      accepted += with.accepted_tokens;
    }
    CHECK(accepted > 0);
    CHECK(accepted < drafted);
  }
}

TEST_CASE("sequences of a model on a GPU, with all layers or some, take turns and share a start") {
  const auto shared = tokens(280);
  const auto with = [&](int count, uint32_t seed) {
    auto text = shared;
    const auto more = tokens(count, seed);
    text.insert(text.end(), more.begin(), more.end());
    return text;
  };
  const auto complete = [](Model& model, std::vector<llama_token> prompt, int32_t sequence) {
    const Cancel never{false};
    CompleteRequest request{.tokens = std::move(prompt),
                            .max_tokens = 2,
                            .sampling = {0, 0, 1, 0, 0},
                            .stop_tokens = {},
                            .shared_tokens = 280,
                            .speculate = false,
                            .sequence = sequence};
    auto completion =
        model.complete(request, {[](int32_t, int32_t) {}, [](std::string_view) {}}, never);
    REQUIRE_MESSAGE(completion, (completion ? "" : completion.error().message));
    return std::move(completion.value());
  };
  uint32_t seed = 40;
  for (const int32_t layers : {4, 2}) {
    CAPTURE(layers);
    OnGpu gpu(seed++);
    REQUIRE(gpu.load(options(selective("int8", 128)), layers));
    const auto reference = load(options(selective("int8", 128)));
    for (int turn = 0; turn < 2; turn++) {
      for (const int32_t sequence : {0, 1}) {
        const auto prompt = with(40, 2 + static_cast<uint32_t>(sequence));
        const Completion got = complete(*gpu.model, prompt, sequence);
        const Completion expected = complete(*reference, prompt, sequence);
        CHECK(got.tokens == expected.tokens);
        CHECK(got.prefilled_tokens == expected.prefilled_tokens);
        CHECK(gpu.model->stats().account == reference->stats().account);
        CHECK(gpu.model->stats().shared_bytes == reference->stats().shared_bytes);
        if (turn == 0 && sequence == 1) CHECK(got.reused_tokens == 280);
        if (turn == 1) CHECK(got.prefilled_tokens == 1);
      }
    }
    gpu.model->drop_sequence(1);
    CHECK(gpu.model->stats().shared_bytes == 0);
  }
}

TEST_CASE("as many layers are on a GPU as it has room for, and the CPU has the others") {
  const Cancel never{false};
  int32_t before = kLayers;
  std::set<int32_t> seen;
  for (const size_t mebibytes : {64, 36, 33, 26}) {
    CAPTURE(mebibytes);
    OnGpu gpu(0, mebibytes << 20);
    REQUIRE(gpu.load(options(selective("int8", 128)), 0, false));
    const int32_t layers = gpu.model->info().gpu_layers;
    CHECK(layers <= before);
    CHECK((layers == 0) == !gpu.model->info().gpu_reason.empty());
    before = layers;
    seen.insert(layers);
    // What a step needs for itself may still be too much for so small a GPU.
    const auto logits = gpu.model->evaluate(tokens(400), false, never);
    if (!logits) CHECK(logits.error().code == Code::out_of_memory);
    gpu.model->truncate(0);
    CHECK(gpu.model->evaluate(tokens(20), false, never));
  }
  CHECK(seen.size() >= 3);
  CHECK(seen.contains(kLayers));
}

TEST_CASE("a cache that is saved on a GPU is restored on a CPU, and the other way round") {
  const std::string path = float_model() + ".session";
  const auto prompt = tokens(300);
  const auto policy = selective("int4", 128);
  std::vector<float> expected;
  {
    OnGpu gpu;
    REQUIRE(gpu.load(options(policy), 2));
    evaluate(*gpu.model, prompt);
    REQUIRE(gpu.model->save_session(path));
    expected = evaluate(*gpu.model, {7});
  }
  const auto cpu = load(options(policy));
  REQUIRE(cpu->restore_session(path));
  CHECK(divergence(expected, evaluate(*cpu, {7})) < 1e-4);
  cpu->truncate(256);
  REQUIRE(cpu->save_session(path));
  expected = evaluate(*cpu, {9});
  OnGpu gpu;
  REQUIRE(gpu.load(options(policy)));
  REQUIRE(gpu.model->restore_session(path));
  CHECK(divergence(expected, evaluate(*gpu.model, {9})) < 1e-4);
  std::filesystem::remove(path);
}
