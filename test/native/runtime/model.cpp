// The bundled model through llama.cpp's own libraries, under the sanitizers.

#include "runtime/model.h"

#include <doctest/doctest.h>

#include <chrono>
#include <cmath>
#include <filesystem>
#include <functional>
#include <random>
#include <thread>

#include "gguf.h"
#include "runtime/gpu_layers.h"
#include "support.h"

using namespace sightline::runtime;
using namespace sightline::test;
namespace cache = sightline::cache;

namespace {

const cache::Policy kFull{.kind = cache::PolicyKind::full, .sink = 0};
const cache::Policy kSelective{.kind = cache::PolicyKind::selective, .window = 256};

const CompleteListener kSilent{[](int32_t, int32_t) {}, [](std::string_view) {}};

CompleteRequest greedy(std::vector<llama_token> tokens, int32_t count) {
  return {std::move(tokens), count, {0, 0, 1, 0, 0}, {}};
}

}  // namespace

TEST_CASE("the device gives llama.cpp's own logits") {
  const auto prompt = tokens(900);
  const auto stock = load(bundled(StockCache{GGML_TYPE_F16, false}));
  const auto full = load(bundled(kFull));
  const auto selective = load(bundled(kSelective, 2));
  CHECK(full->info().owned_layers == 4);
  CHECK(stock->info().owned_layers == 0);
  const auto expected = evaluate(*stock, prompt);
  CHECK(divergence(expected, evaluate(*full, prompt)) < 1e-3);
  CHECK(divergence(expected, evaluate(*selective, prompt)) < 1e-2);
  const cache::Account account = selective->stats().account;
  REQUIRE(account.coded.size() == 1);
  CHECK(account.coded[0].tokens == 512);
}

TEST_CASE("a model loads and goes away again and again") {
  for (int i = 0; i < 5; i++) {
    const auto model = load(bundled(kSelective));
    evaluate(*model, tokens(600));
  }
}

TEST_CASE("a load can be abandoned at any fraction") {
  for (const float at : {0.0f, 0.3f, 0.9f}) {
    Cancel cancel{false};
    const auto progress = [&](float fraction) { cancel.store(cancel.load() || fraction >= at); };
    const auto model = Model::load(bundled(kSelective), progress, cancel);
    REQUIRE_FALSE(model);
    CHECK(model.error().code == Code::aborted);
  }
}

TEST_CASE("a call can be cancelled at any moment and leaves a working model") {
  const auto model = load(bundled(kSelective, 2));
  const auto prompt = tokens(3000);
  const auto fresh = load(bundled(kSelective, 2));
  const Cancel never{false};
  const auto expected = fresh->complete(greedy(prompt, 16), kSilent, never);
  REQUIRE(fresh->complete(greedy(prompt, 16), kSilent, never));
  std::mt19937 random(5);
  int aborted = 0;
  for (int i = 0; i < 20; i++) {
    Cancel cancel{false};
    std::thread other([&] {
      std::this_thread::sleep_for(std::chrono::microseconds(random() % 400000));
      cancel.store(true);
    });
    const auto completion = model->complete(greedy(tokens(3000, random()), 200), kSilent, cancel);
    other.join();
    if (!completion) {
      CHECK(completion.error().code == Code::aborted);
      aborted++;
    }
    const cache::Account account = model->stats().account;
    int64_t held = account.sink.tokens + account.window.tokens;
    for (const cache::Account::Coded& level : account.coded) held += level.tokens;
    CHECK(held == account.tokens);
  }
  CHECK(aborted > 0);
  model->truncate(0);
  Result<Completion> again = model->complete(greedy(prompt, 16), kSilent, never);
  REQUIRE(again);
  Result<Completion> reference =
      load(bundled(kSelective, 2))->complete(greedy(prompt, 16), kSilent, never);
  CHECK(again.value().tokens == reference.value().tokens);
}

TEST_CASE("a step is cancelled inside its graph") {
  // One batch has no place to stop but its graph; the delay is longer than what comes before it.
  const auto model = load(bundled(kSelective));
  bool aborted = false;
  for (int delay = 1; delay <= 50 && !aborted; delay++) {
    Cancel cancel{false};
    std::thread other([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(delay));
      cancel.store(true);
    });
    const auto result = model->evaluate(tokens(512), false, cancel);
    other.join();
    aborted = !result && result.error().code == Code::aborted;
    CHECK(model->stats().account.tokens == (result ? 512 : 0));
    model->truncate(0);
  }
  CHECK(aborted);
}

TEST_CASE("the same prompt gives the same tokens whatever was generated in between") {
  const auto model = load(bundled(kSelective));
  const auto prompt = tokens(1010);
  const Cancel never{false};
  const auto run = [&] {
    Result<Completion> completion = model->complete(greedy(prompt, 150), kSilent, never);
    REQUIRE(completion);
    return std::move(completion.value());
  };
  const Completion first = run();
  const Completion second = run();
  CHECK(first.reused_tokens == 0);
  CHECK(second.reused_tokens == 1009);
  CHECK(first.tokens == second.tokens);
}

TEST_CASE("prompts go back to what they share without evaluating any of it again") {
  const auto model = load(bundled(kSelective));
  const auto shared = tokens(1010);
  const Cancel never{false};
  const auto run = [&](std::vector<llama_token> prompt, int32_t count, int32_t shared_tokens) {
    CompleteRequest request = greedy(std::move(prompt), count);
    request.shared_tokens = shared_tokens;
    Result<Completion> completion = model->complete(request, kSilent, never);
    REQUIRE(completion);
    return std::move(completion.value());
  };
  const Completion filled = run(shared, 0, 0);
  CHECK(filled.prefilled_tokens == 1010);
  CHECK(filled.tokens.empty());
  CHECK(model->stats().account.tokens == 1010);
  std::vector<Completion> kept;
  for (const uint32_t seed : {2, 3, 2}) {
    auto prompt = shared;
    const auto own = tokens(600, seed);
    prompt.insert(prompt.end(), own.begin(), own.end());
    kept.push_back(run(prompt, 40, 1010));
    CHECK(kept.back().reused_tokens == 1010);
    // Back to anywhere behind it, too.
    prompt.resize(1250);
    CHECK(run(prompt, 1, 1010).reused_tokens == 1249);
  }
  CHECK(kept[0].tokens == kept[2].tokens);
}

TEST_CASE("a cache that reaches its bound says so and keeps working") {
  LoadOptions bounded = bundled(kSelective);
  bounded.cache_budget_bytes = size_t{2} << 20;
  const auto model = load(bounded);
  const Cancel never{false};
  const auto result = model->evaluate(tokens(6000), false, never);
  REQUIRE_FALSE(result);
  CHECK(result.error().code == Code::cache_exhausted);
  const int64_t held = model->stats().account.tokens;
  CHECK(held > 0);
  CHECK(held < 6000);
  CHECK(model->stats().reserved_bytes <= size_t{3} << 20);
  model->truncate(0);
  evaluate(*model, tokens(100));
}

TEST_CASE("a bound that is set anew holds from the next step on") {
  const cache::Policy automatic{.kind = cache::PolicyKind::automatic};
  for (const cache::Policy& policy : {kSelective, automatic}) {
    const auto model = load(bundled(policy));
    const Cancel never{false};
    evaluate(*model, tokens(3000));
    const size_t whole = model->stats().account.bytes();
    model->set_budget(whole * 2 / 3);
    if (policy.kind == cache::PolicyKind::automatic) {
      CHECK(model->stats().account.bytes() <= whole * 2 / 3);
      CHECK(model->stats().account.tokens == 3000);
      continue;
    }
    const auto refused = model->evaluate(tokens(200), false, never);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == Code::cache_exhausted);
    CHECK(model->stats().account.tokens == 3000);
    model->truncate(1000);
    evaluate(*model, tokens(200));
    model->set_budget(0);
    evaluate(*model, tokens(3000));
  }
}

TEST_CASE("what cannot be is refused with a reason") {
  const auto model = load(bundled(kSelective));
  const Cancel never{false};
  const auto code = [&](const std::vector<llama_token>& bad) {
    const auto result = model->evaluate(bad, false, never);
    return result ? Code::engine_failed : result.error().code;
  };
  CHECK(code({}) == Code::bad_argument);
  CHECK(code({-1}) == Code::bad_argument);
  CHECK(code({4096}) == Code::bad_argument);
  CHECK(code(tokens(8193)) == Code::context_full);
  CHECK_FALSE(model->complete(greedy({}, 5), kSilent, never));
  CompleteRequest shares_more = greedy({1}, 5);
  shares_more.shared_tokens = 2;
  CHECK_FALSE(model->complete(shares_more, kSilent, never));

  const auto failure = [&](LoadOptions bad) {
    const auto result = Model::load(
        bad, [](float) {}, never);
    REQUIRE_FALSE(result);
    CHECK_FALSE(result.error().message.empty());
    return result.error().code;
  };
  LoadOptions bad = bundled(kSelective);
  bad.model_path = "/no/such/model.gguf";
  CHECK(failure(bad) == Code::model_not_found);
  bad.model_path = SIGHTLINE_TEST_LIBRARIES;
  CHECK(failure(bad) == Code::model_invalid);
  bad.model_path = __FILE__;
  CHECK(failure(bad) == Code::model_invalid);
  bad = bundled(kSelective);
  bad.context_tokens = 8193;
  CHECK(failure(bad) == Code::bad_argument);
  bad = bundled(cache::Policy{.kind = cache::PolicyKind::selective, .sink = -1});
  CHECK(failure(bad) == Code::bad_argument);
}

TEST_CASE("what a model file says of its layers may be wrong") {
  const std::string path =
      (std::filesystem::temp_directory_path() /
       ("sightline-layers-" + std::to_string(std::random_device{}()) + "-00001-of-00002.gguf"))
          .string();
  const auto sizes_of = [&](const std::function<void(gguf_context*)>& write) {
    gguf_context* file = gguf_init_empty();
    gguf_set_val_str(file, "general.architecture", "llama");
    write(file);
    REQUIRE(gguf_write_to_file(file, path.c_str(), true));
    gguf_free(file);
    const auto sizes = layer_sizes(path, 512);
    std::filesystem::remove(path);
    return sizes;
  };
  constexpr int32_t kNegative[] = {-1};
  const auto listed = sizes_of([&](gguf_context* file) {
    gguf_set_arr_data(file, "llama.block_count", GGUF_TYPE_INT32, kNegative, 1);
    gguf_set_arr_data(file, "llama.feed_forward_length", GGUF_TYPE_INT32, kNegative, 1);
  });
  REQUIRE(listed);
  CHECK(listed->count() == 0);
  CHECK(listed->step == 0);
  const auto negative =
      sizes_of([](gguf_context* file) { gguf_set_val_i32(file, "llama.block_count", -1); });
  REQUIRE(negative);
  CHECK(negative->count() == 0);
  // The second file is not there, and by now neither is the first.
  CHECK_FALSE(sizes_of([](gguf_context* file) { gguf_set_val_u16(file, "split.count", 2); }));
  CHECK_FALSE(layer_sizes(path, 512));
}

TEST_CASE("text goes to tokens and back") {
  const auto model = load(bundled(kFull));
  const std::string text = "const größe = '😀';\r\n\tif (a<b) return;\n";
  const auto ids = model->tokenize(text, false);
  CHECK(model->detokenize(ids).value() == text);
  CHECK(model->tokenize("<|fim_middle|>", true).size() == 1);
  CHECK(model->tokenize("<|fim_middle|>", false).size() > 1);
  CHECK(model->tokenize("", false).empty());
}
