// Completions of the bundled model with drafts: what they write and what they leave in the cache is
// what they would without.

#include <doctest/doctest.h>

#include <algorithm>
#include <string>

#include "runtime/model.h"
#include "runtime/self_check.h"
#include "support.h"

using namespace sightline::runtime;
using namespace sightline::test;
namespace cache = sightline::cache;
using cache::Policy;
using cache::PolicyKind;

namespace {

constexpr StepCosts kFree{{1, 1, 1, 1}};

std::unique_ptr<Model> load(const Policy& policy, std::optional<StepCosts> costs = kFree,
                            size_t budget = 0, int32_t context_tokens = 0) {
  LoadOptions options = bundled(policy);
  options.cache_budget_bytes = budget;
  options.context_tokens = context_tokens;
  options.step_costs = costs;
  return sightline::test::load(options);
}

/// A text of code as often as asked for, and once more up to a token.
std::vector<llama_token> code(const Model& model, int times, size_t more) {
  const auto text = model.tokenize(check_text(), false);
  std::vector<llama_token> tokens;
  for (int i = 0; i < times; i++) tokens.insert(tokens.end(), text.begin(), text.end());
  tokens.insert(tokens.end(), text.begin(), text.begin() + static_cast<ptrdiff_t>(more));
  return tokens;
}

CompleteRequest request(std::vector<llama_token> tokens, int32_t count, bool speculate,
                        float temperature = 0) {
  return {.tokens = std::move(tokens),
          .max_tokens = count,
          .sampling = {temperature, 40, 1, 0, 3},
          .stop_tokens = {},
          .shared_tokens = 0,
          .speculate = speculate};
}

Result<Completion> complete(Model& model, const CompleteRequest& request,
                            const Finish& finish = kNotEarly) {
  const Cancel never{false};
  return model.complete(request, {[](int32_t, int32_t) {}, [](std::string_view) {}}, never, finish);
}

struct Drafts {
  int32_t drafted = 0, accepted = 0;
};

/// The same request with drafts and without, each in a model of its own: one result, one cache.
Drafts check_same(Model& drafting, Model& plain, const CompleteRequest& with) {
  CompleteRequest without = with;
  without.speculate = false;
  auto expected = complete(plain, without);
  auto got = complete(drafting, with);
  REQUIRE(got.operator bool() == expected.operator bool());
  CHECK(drafting.stats().account == plain.stats().account);
  CHECK(drafting.stats().reserved_bytes == plain.stats().reserved_bytes);
  if (!got) {
    CHECK(got.error().code == expected.error().code);
    return {};
  }
  CHECK(got.value().tokens == expected.value().tokens);
  CHECK(got.value().text == expected.value().text);
  CHECK(got.value().finish == expected.value().finish);
  CHECK(expected.value().drafted_tokens == 0);
  return {got.value().drafted_tokens, got.value().accepted_tokens};
}

}  // namespace

TEST_CASE("drafts change neither the tokens nor the cache, whatever the policy") {
  const Policy policies[] = {{.kind = PolicyKind::full, .sink = 0},
                             selective("int8", 256),
                             selective("int4", 100),
                             {.kind = PolicyKind::hierarchical, .window = 64, .span = 300},
                             {.kind = PolicyKind::compressed, .window = 200},
                             {.kind = PolicyKind::lowrank, .window = 64}};
  Drafts all;
  for (const Policy& policy : policies) {
    CAPTURE(cache::name_of(policy.kind));
    const auto drafting = load(policy);
    const auto plain = load(policy);
    Drafts sums;
    for (const auto& [more, temperature] :
         {std::pair{30, 0.0f}, {90, 0.8f}, {151, 0.0f}, {170, 0.8f}}) {
      CAPTURE(more);
      const auto prompt = code(*drafting, more % 2 == 0 ? 1 : 3, static_cast<size_t>(more));
      const Drafts drafts = check_same(*drafting, *plain, request(prompt, 100, true, temperature));
      sums.drafted += drafts.drafted;
      sums.accepted += drafts.accepted;
    }
    CHECK(sums.accepted > 0);
    CHECK(sums.accepted < sums.drafted);
    all.drafted += sums.drafted;
    all.accepted += sums.accepted;
  }
  MESSAGE(all.accepted << " of " << all.drafted << " drafted tokens accepted");
}

TEST_CASE("logits behind a completion with drafts are those of its tokens evaluated from scratch") {
  for (const auto& [policy, bound] :
       {std::pair{Policy{.kind = PolicyKind::full, .sink = 0}, 1e-3},
        std::pair{selective("int8", 128), 1e-3}, std::pair{selective("int4", 128), 1e-3}}) {
    const auto drafting = load(policy);
    const auto scratch = load(policy);
    const auto prompt = code(*drafting, 2, 60);
    auto written = complete(*drafting, request(prompt, 90, true, 0.8f));
    REQUIRE(written);
    CHECK(written.value().accepted_tokens > 0);
    CHECK(written.value().accepted_tokens < written.value().drafted_tokens);
    auto all = prompt;
    all.insert(all.end(), written.value().tokens.begin(), written.value().tokens.end());
    const llama_token last = all.back();
    all.pop_back();
    CHECK(drafting->stats().account.tokens == static_cast<int64_t>(all.size()));
    evaluate(*scratch, all);
    const auto expected = evaluate(*scratch, {last});
    const double apart = divergence(expected, evaluate(*drafting, {last}));
    MESSAGE("divergence " << apart << " nats");
    CHECK(apart < bound);
    CHECK(drafting->stats().account == scratch->stats().account);
  }
}

TEST_CASE("where tokens are chosen by attention none are drafted") {
  for (const PolicyKind kind : {PolicyKind::h2o, PolicyKind::attention, PolicyKind::importance}) {
    const Policy policy{.kind = kind, .window = 128};
    const auto drafting = load(policy);
    const auto plain = load(policy);
    const auto prompt = code(*drafting, 2, 30);
    CHECK(check_same(*drafting, *plain, request(prompt, 80, true)).drafted == 0);
  }
}

TEST_CASE("what steps cost is measured without a trace") {
  const auto measuring = load(selective("int8", 128), std::nullopt);
  const auto plain = load(selective("int8", 128));
  // Near the end of a block there is no room to measure.
  for (const size_t more : {60, 100}) {
    const auto prompt = code(*plain, 2, more);
    check_same(*measuring, *plain, request(prompt, 0, true));
    check_same(*measuring, *plain, request(prompt, 60, true));
  }
}

TEST_CASE("no completion that is waited for measures what steps cost") {
  const auto model = load(selective("int8", 128), std::nullopt);
  const auto prompt = code(*model, 2, 60);
  for (int round = 0; round < 2; round++) {
    auto written = complete(*model, request(prompt, 60, true));
    REQUIRE(written);
    CHECK(written.value().drafted_tokens == 0);
  }
}

TEST_CASE("a completion with drafts ends where it would without") {
  const auto prompt = code(*load(selective("int8", 128)), 1, 60);
  const auto context = static_cast<int32_t>(prompt.size()) + 120;
  const auto drafting = load(selective("int8", 128), kFree, 0, context);
  const auto plain = load(selective("int8", 128), kFree, 0, context);
  int32_t accepted = 0;
  for (int32_t count = 1; count < 40; count++) {
    CAPTURE(count);
    accepted += check_same(*drafting, *plain, request(prompt, count, true)).accepted;
  }
  CHECK(accepted > 100);
  CHECK(check_same(*drafting, *plain, request(prompt, context, true)).accepted > 0);
  CHECK(drafting->stats().account.tokens == context);
  // A token that the completion comes to.
  auto written = complete(*plain, request(prompt, 40, false));
  REQUIRE(written);
  for (const size_t at : {5, 14, 23}) {
    CompleteRequest stopping = request(prompt, 40, true);
    stopping.stop_tokens = {written.value().tokens[at]};
    check_same(*drafting, *plain, stopping);
  }
}

TEST_CASE("drafts fit any budget that the tokens fit") {
  int full = 0;
  for (const PolicyKind kind : {PolicyKind::full, PolicyKind::automatic}) {
    const Policy policy{.kind = kind,
                        .sink = kind == PolicyKind::full ? 0 : cache::kDefaultSink,
                        .window = kind == PolicyKind::full ? 0 : 64};
    for (const size_t kib : {2200, 2400, 2700}) {
      CAPTURE(kib);
      const auto drafting = load(policy, kFree, kib << 10);
      const auto plain = load(policy, kFree, kib << 10);
      const auto prompt = code(*drafting, 1, 30);
      check_same(*drafting, *plain, request(prompt, 250, true));
      full += plain->stats().account.tokens < static_cast<int64_t>(prompt.size()) + 249 ? 1 : 0;
    }
  }
  CHECK(full > 1);
  CHECK(full < 5);
}

TEST_CASE("a completion can be ended early, with what there is") {
  const auto model = load(selective("int8", 128));
  const auto prompt = code(*model, 1, 60);
  auto whole = complete(*model, request(prompt, 60, true));
  REQUIRE(whole);

  Finish finish{true};
  model->truncate(0);
  auto none = complete(*model, request(prompt, 60, true), finish);
  REQUIRE(none);
  CHECK(none.value().finish == Completion::Finish::stopped);
  CHECK(none.value().tokens.empty());
  CHECK(model->stats().account.tokens == static_cast<int64_t>(prompt.size()));

  for (const bool speculate : {false, true}) {
    finish.store(false);
    size_t told = 0;
    const Cancel never{false};
    auto some = model->complete(
        request(prompt, 60, speculate),
        {[](int32_t, int32_t) {}, [&](std::string_view) { finish.store(++told == 20); }}, never,
        finish);
    REQUIRE(some);
    CHECK(some.value().finish == Completion::Finish::stopped);
    const auto& tokens = some.value().tokens;
    CHECK(tokens.size() >= 20);
    CHECK(tokens.size() < 25);
    CHECK(std::equal(tokens.begin(), tokens.end(), whole.value().tokens.begin()));
    const auto held = model->stats().account.tokens - static_cast<int64_t>(prompt.size());
    CHECK(held >= static_cast<int64_t>(tokens.size()) - 1);
    CHECK(held <= static_cast<int64_t>(tokens.size()));
  }
}

TEST_CASE("a completion with drafts that is cancelled leaves a working model") {
  const auto model = load(selective("int8", 128));
  const auto prompt = code(*model, 2, 60);
  auto expected = complete(*model, request(prompt, 80, true));
  REQUIRE(expected);
  for (size_t at : {1, 7, 8, 9, 30}) {
    Cancel cancel{false};
    size_t told = 0;
    auto ended = model->complete(
        request(prompt, 80, true),
        {[](int32_t, int32_t) {}, [&](std::string_view) { cancel.store(++told >= at); }}, cancel);
    REQUIRE_FALSE(ended);
    CHECK(ended.error().code == Code::aborted);
    auto again = complete(*model, request(prompt, 80, true));
    REQUIRE(again);
    CHECK(again.value().tokens == expected.value().tokens);
  }
}
