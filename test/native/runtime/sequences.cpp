// Several sequences of one model: each is what it would be in a model of its own.

#include <doctest/doctest.h>

#include <algorithm>

#include "runtime/model.h"
#include "runtime/self_check.h"
#include "support.h"

using namespace sightline::runtime;
using namespace sightline::test;
namespace cache = sightline::cache;
using cache::Policy;
using cache::PolicyKind;

namespace {

const Policy kSelective = selective("int8", 256);

CompleteRequest greedy(std::vector<llama_token> tokens, int32_t count, int32_t sequence,
                       int32_t shared = 0) {
  return {.tokens = std::move(tokens),
          .max_tokens = count,
          .sampling = {0, 0, 1, 0, 0},
          .stop_tokens = {},
          .shared_tokens = shared,
          .speculate = false,
          .sequence = sequence};
}

Completion complete(Model& model, const CompleteRequest& request) {
  const Cancel never{false};
  Result<Completion> completion =
      model.complete(request, {[](int32_t, int32_t) {}, [](std::string_view) {}}, never);
  REQUIRE_MESSAGE(completion, (completion ? "" : completion.error().message));
  return std::move(completion.value());
}

std::vector<llama_token> joined(std::vector<llama_token> a, const std::vector<llama_token>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

SequenceStats of(const Model& model, int32_t sequence) {
  for (const SequenceStats& stats : model.stats().sequences)
    if (stats.sequence == sequence) return stats;
  return {sequence, -1, 0};
}

}  // namespace

TEST_CASE("sequences take turns and none is evaluated again") {
  const auto model = load(bundled(kSelective));
  const std::vector<std::vector<llama_token>> prompts = {tokens(700, 1), tokens(400, 2),
                                                         tokens(900, 3)};
  std::vector<std::vector<llama_token>> texts = prompts;
  for (int turn = 0; turn < 3; turn++) {
    for (int32_t sequence = 0; sequence < 3; sequence++) {
      auto& text = texts[static_cast<size_t>(sequence)];
      const Completion got = complete(*model, greedy(text, 9, sequence));
      if (turn > 0) CHECK(got.prefilled_tokens <= 1);
      text = joined(text, got.tokens);
    }
  }
  for (size_t sequence = 0; sequence < 3; sequence++) {
    const auto alone = load(bundled(kSelective));
    auto text = prompts[sequence];
    for (int turn = 0; turn < 3; turn++)
      text = joined(text, complete(*alone, greedy(text, 9, 0)).tokens);
    CHECK(text == texts[sequence]);
    CHECK(of(*model, static_cast<int32_t>(sequence)).bytes == alone->stats().account.bytes());
  }
}

TEST_CASE("a sequence goes on from what another one has of its prompt") {
  const auto shared = tokens(1700);
  const auto first = joined(shared, tokens(600, 2));
  const auto second = joined(shared, tokens(300, 3));
  const auto model = load(bundled(kSelective));
  complete(*model, greedy(first, 20, 0, 1700));
  const Completion got = complete(*model, greedy(second, 20, 1));
  // What the first one holds to go back to 1700 without a loss is there for the second one too.
  CHECK(got.reused_tokens == 1700);
  const auto alone = load(bundled(kSelective));
  const Completion expected = complete(*alone, greedy(second, 20, 0));
  CHECK(got.tokens == expected.tokens);
  CHECK(model->stats().account == alone->stats().account);
  // Blocks that both read are there once.
  const Stats stats = model->stats();
  CHECK(stats.shared_bytes > stats.account.bytes() / 2);

  // The first one has not changed.
  CHECK(complete(*model, greedy(first, 20, 0, 1700)).prefilled_tokens == 1);
  // A prompt that starts otherwise shares nothing.
  CHECK(complete(*model, greedy(tokens(400, 4), 1, 2)).reused_tokens == 0);
  // A better start replaces what a sequence had.
  CHECK(complete(*model, greedy(first, 1, 2)).reused_tokens >= 2200);

  model->drop_sequence(0);
  model->drop_sequence(2);
  CHECK(model->stats().shared_bytes == 0);
  CHECK(of(*model, 0).tokens == -1);
}

TEST_CASE("where the budget has no room for two sequences the parked one makes way") {
  LoadOptions options = bundled(kSelective);
  options.cache_budget_bytes = size_t{7} << 19;  // one prompt takes 1.9 MiB and a step 1 MiB
  const auto model = load(options);
  const auto a = tokens(1500, 1), b = tokens(1500, 2);
  complete(*model, greedy(a, 4, 0));
  const Completion got = complete(*model, greedy(b, 4, 1));
  CHECK(of(*model, 0).tokens == -1);
  const auto alone = load(bundled(kSelective));
  CHECK(got.tokens == complete(*alone, greedy(b, 4, 0)).tokens);
  // Alone too large: that is said, and the sequence is left usable.
  const Cancel never{false};
  const auto refused = model->complete(greedy(tokens(4000, 3), 4, 0),
                                       {[](int32_t, int32_t) {}, [](std::string_view) {}}, never);
  REQUIRE(!refused);
  CHECK(refused.error().code == Code::cache_exhausted);
  CHECK(complete(*model, greedy(tokens(300, 4), 4, 1)).tokens ==
        complete(*alone, greedy(tokens(300, 4), 4, 0)).tokens);
}

TEST_CASE("sequences share one budget under automatic policy") {
  LoadOptions options = bundled(Policy{.kind = PolicyKind::automatic, .window = 256});
  options.cache_budget_bytes = size_t{5} << 19;
  const auto model = load(options);
  for (int32_t turn = 0; turn < 4; turn++) {
    const auto prompt = tokens(1500, static_cast<uint32_t>(turn % 2));
    complete(*model, greedy(prompt, 4, turn % 2));
    size_t bytes = 0;
    for (const SequenceStats& each : model->stats().sequences) bytes += each.bytes;
    CHECK(bytes <= options.cache_budget_bytes);
  }
}

TEST_CASE("an aborted prefill keeps what it got to, in its sequence") {
  const auto model = load(bundled(kSelective));
  const auto prompt = tokens(1800);
  complete(*model, greedy(tokens(600, 2), 4, 0));
  Cancel cancel{false};
  const auto aborted = model->complete(greedy(prompt, 4, 1),
                                       {[&](int32_t done, int32_t) {
                                          if (done >= 1024) cancel = true;
                                        },
                                        [](std::string_view) {}},
                                       cancel);
  REQUIRE(!aborted);
  CHECK(aborted.error().code == Code::aborted);
  CHECK(complete(*model, greedy(tokens(600, 2), 4, 0)).prefilled_tokens == 1);
  CHECK(complete(*model, greedy(prompt, 4, 1)).reused_tokens == 1024);
}

TEST_CASE("two caches are compared token by token") {
  const auto model = load(bundled(selective("int4", 128)));
  const Cancel never{false};
  const auto text = tokens(1025);
  const std::span<const llama_token> all = text;
  REQUIRE(model->begin_sequence(3, Policy{.kind = PolicyKind::full, .sink = 0}));
  std::vector<float> divergences, losses, references;
  for (size_t at = 0; at < 1024; at += 256) {
    auto got = model->compare(all.subspan(at, 256), all.subspan(at + 1, 256), 2, 3, never);
    REQUIRE_MESSAGE(got, (got ? "" : got.error().message));
    const auto append = [](std::vector<float>& to, const std::vector<float>& from) {
      to.insert(to.end(), from.begin(), from.end());
    };
    append(divergences, got.value().divergences);
    append(losses, got.value().losses);
    append(references, got.value().reference_losses);
    CHECK(got.value().same_top > 200);
  }
  // Nothing is coded before the window is full.
  CHECK(*std::max_element(divergences.begin(), divergences.begin() + 144) < 1e-6f);
  CHECK(*std::max_element(divergences.begin() + 512, divergences.end()) > 1e-4f);
  // The losses are those of a model with that cache alone.
  const auto full = load(bundled(Policy{.kind = PolicyKind::full, .sink = 0}));
  const std::vector<llama_token> head(text.begin(), text.begin() + 1024);
  const std::vector<float> logits = evaluate(*full, head);
  double sum = 0;
  for (const float logit : logits) sum += std::exp(logit);
  CHECK(std::log(sum) - logits[static_cast<size_t>(text.back())] ==
        doctest::Approx(references.back()).epsilon(1e-3));
  CHECK(model->stats().account.tokens == 1024);
  CHECK(!model->compare(all.first(2), all.first(1), 2, 3, never));
  const llama_token unknown = 1 << 30;
  CHECK(!model->compare(all.first(1), {&unknown, 1}, 2, 3, never));
}

TEST_CASE("what a sequence will take is what it takes") {
  for (const char* tier : {"int8", "int4"}) {
    const auto model = load(bundled(selective(tier, 256)));
    const std::vector<int32_t> lengths = {0, 300, 2000};
    const auto forecasts = model->forecast(lengths);
    REQUIRE(forecasts.size() == 3);
    CHECK(forecasts[0].policy == "full");
    CHECK(forecasts[1].policy == "selective");
    CHECK(forecasts[2].policy == "compressed");
    for (const size_t at : {size_t{1}, size_t{2}}) {
      evaluate(*model, tokens(lengths[at] - lengths[at - 1]));
      CHECK(forecasts[1].bytes[at] == model->stats().account.bytes());
      CHECK(forecasts[0].bytes[at] >= model->stats().account.fp16_bytes);
    }
    CHECK(forecasts[2].bytes[2] < forecasts[1].bytes[2]);
    CHECK(forecasts[1].bytes[2] < forecasts[0].bytes[2]);
  }
}

TEST_CASE("a stock cache has one sequence, whatever is asked for") {
  const auto model = load(bundled(StockCache{GGML_TYPE_F16, false}));
  const auto prompt = tokens(300);
  complete(*model, greedy(prompt, 4, 0));
  CHECK(complete(*model, greedy(prompt, 4, 1)).prefilled_tokens == 1);
  const auto begun = model->begin_sequence(1, kSelective);
  REQUIRE(!begun);
  CHECK(begun.error().code == Code::model_unsupported);
  CHECK(model->forecast(std::vector<int32_t>{100}).empty());
}
