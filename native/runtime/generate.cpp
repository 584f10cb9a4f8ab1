// Completion: reuse what the cache holds, prefill the rest, then sample token by token.

#include <algorithm>
#include <chrono>

#include "runtime/common_prefix.h"
#include "runtime/model.h"
#include "runtime/utf8.h"

namespace sightline::runtime {
namespace {

struct FreeSampler {
  void operator()(llama_sampler* sampler) const { llama_sampler_free(sampler); }
};
using Sampler = std::unique_ptr<llama_sampler, FreeSampler>;

Sampler make_sampler(const Sampling& sampling) {
  llama_sampler_chain_params parameters = llama_sampler_chain_default_params();
  parameters.no_perf = true;
  Sampler chain(llama_sampler_chain_init(parameters));
  const auto add = [&](llama_sampler* sampler) { llama_sampler_chain_add(chain.get(), sampler); };
  if (sampling.temperature <= 0.0f) {
    add(llama_sampler_init_greedy());
    return chain;
  }
  if (sampling.top_k > 0) add(llama_sampler_init_top_k(sampling.top_k));
  if (sampling.top_p < 1.0f) add(llama_sampler_init_top_p(sampling.top_p, 1));
  if (sampling.min_p > 0.0f) add(llama_sampler_init_min_p(sampling.min_p, 1));
  add(llama_sampler_init_temp(sampling.temperature));
  add(llama_sampler_init_dist(sampling.seed));
  return chain;
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

Result<Completion> Model::complete(const CompleteRequest& request, const CompleteListener& listener,
                                   const Cancel& cancel, const Finish& finish) {
  const std::span<const llama_token> prompt = request.tokens;
  if (prompt.empty()) return Error{Code::bad_argument, "The prompt has no tokens."};
  if (request.shared_tokens > static_cast<int32_t>(prompt.size()))
    return Error{Code::bad_argument, "A prompt shares at most all its tokens."};
  if (const auto checked = check_tokens(prompt); !checked) return checked.error();
  if (prompt.size() > static_cast<size_t>(info_.context_tokens)) {
    return Error{Code::context_full, "The prompt has " + std::to_string(prompt.size()) +
                                         " tokens and the context holds " +
                                         std::to_string(info_.context_tokens) + "."};
  }
  if (cancel.load()) return cancelled();
  if (const auto used = use(request.sequence, prompt); !used) return used.error();

  // The last token is evaluated in any case: its logits are where generation begins.
  const size_t common = std::min(common_prefix(tokens_, prompt), prompt.size() - 1);
  Completion completion{};
  completion.reused_tokens = truncate(static_cast<int32_t>(common));
  const auto fresh = prompt.subspan(static_cast<size_t>(completion.reused_tokens));
  completion.prefilled_tokens = static_cast<int32_t>(fresh.size());
  // What is generated can be taken back exactly when the same prompt comes again, and so can what
  // this prompt adds to the shared tokens.
  const auto whole = static_cast<int32_t>(prompt.size()) - 1;
  if (device_ != nullptr)
    device_->cache().hold(request.shared_tokens > 0 ? std::min(request.shared_tokens, whole)
                                                    : whole);

  auto start = std::chrono::steady_clock::now();
  for (size_t done = 0; done < fresh.size();) {
    const auto batch = next_batch(fresh.subspan(done));
    if (const auto decoded = decode(batch, false, cancel); !decoded) return decoded.error();
    done += batch.size();
    listener.on_prefill(static_cast<int32_t>(done), completion.prefilled_tokens);
  }
  completion.prefill_seconds = seconds_since(start);
  release_spare();
  // Nobody waits for a token: now is the time to find out how long drafts may be.
  if (request.max_tokens == 0 && request.speculate && !step_costs_) {
    if (const auto measured = measure_steps(prompt, cancel); !measured) return measured.error();
  }

  start = std::chrono::steady_clock::now();
  const Sampler sampler = make_sampler(request.sampling);
  size_t told = 0;  // bytes of the text that were reported
  const auto tell = [&](size_t until) {
    if (until > told)
      listener.on_text(std::string_view(completion.text).substr(told, until - told));
    told = std::max(told, until);
  };
  std::vector<llama_token> text(prompt.begin(), prompt.end());
  std::optional<PromptLookup> lookup;
  if (request.speculate && step_costs_) lookup.emplace(*step_costs_);
  bool speculates = lookup.has_value();
  std::vector<llama_token> draft;  // evaluated behind the token before
  size_t accepted = 0;             // of the draft
  const auto take_back = [&] {
    if (lookup) lookup->note(static_cast<int32_t>(draft.size()), static_cast<int32_t>(accepted));
    completion.drafted_tokens += static_cast<int32_t>(draft.size());
    completion.accepted_tokens += static_cast<int32_t>(accepted);
    if (accepted < draft.size())
      truncate(static_cast<int32_t>(tokens_.size() - (draft.size() - accepted)));
    draft.clear();
    accepted = 0;
  };
  completion.finish = Completion::Finish::length;
  while (static_cast<int32_t>(completion.tokens.size()) < request.max_tokens) {
    if (cancel.load()) {
      take_back();
      return cancelled();
    }
    if (finish.load()) {
      completion.finish = Completion::Finish::stopped;
      break;
    }
    const llama_token token = llama_sampler_sample(
        sampler.get(), context_.get(), draft.empty() ? -1 : static_cast<int32_t>(accepted));
    const bool stops = llama_vocab_is_eog(vocab_, token) ||
                       std::find(request.stop_tokens.begin(), request.stop_tokens.end(), token) !=
                           request.stop_tokens.end();
    if (stops) {
      completion.finish = Completion::Finish::end;
      break;
    }
    completion.tokens.push_back(token);
    text.push_back(token);
    completion.text += piece(token);
    tell(told + whole_characters(std::string_view(completion.text).substr(told)));
    const int32_t left = request.max_tokens - static_cast<int32_t>(completion.tokens.size());
    if (left == 0) break;
    if (accepted < draft.size() && draft[accepted] == token) {
      accepted++;
      continue;
    }
    take_back();
    if (tokens_.size() == static_cast<size_t>(info_.context_tokens)) {
      completion.finish = Completion::Finish::context;
      break;
    }
    if (speculates) {
      draft = lookup->draft(text, std::min(static_cast<int32_t>(revocable_step()), left) - 1);
    }
    std::vector<llama_token> step = {token};
    step.insert(step.end(), draft.begin(), draft.end());
    auto decoded = decode(step, !draft.empty(), cancel);
    if (!decoded && decoded.error().code != Code::aborted && !draft.empty()) {
      // The longer step may have been too much, the token alone need not be.
      speculates = false;
      draft.clear();
      decoded = decode({&token, 1}, false, cancel);
    }
    if (!decoded) return decoded.error();
  }
  take_back();
  tell(completion.text.size());
  completion.decode_seconds = seconds_since(start);
  return completion;
}

}  // namespace sightline::runtime
