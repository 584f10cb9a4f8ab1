// What one sequence predicts, next to another with the same tokens.

#include "runtime/logits.h"
#include "runtime/model.h"

namespace sightline::runtime {

Result<Comparison> Model::compare(std::span<const llama_token> tokens,
                                  std::span<const llama_token> next, int32_t sequence,
                                  int32_t reference, const Cancel& cancel) {
  if (next.size() != tokens.size())
    return Error{Code::bad_argument, "Each token must come with the one that follows it."};
  if (const auto checked = check_tokens(next); !checked) return checked.error();
  auto expected = evaluate(tokens, true, cancel, reference);
  if (!expected) return expected.error();
  auto got = evaluate(tokens, true, cancel, sequence);
  if (!got) return got.error();

  Comparison comparison;
  const auto vocabulary = static_cast<size_t>(info_.vocabulary);
  for (size_t i = 0; i < tokens.size(); i++) {
    if (cancel.load()) return cancelled();
    const auto p = std::span(expected.value()).subspan(i * vocabulary, vocabulary);
    const auto q = std::span(got.value()).subspan(i * vocabulary, vocabulary);
    const LogSum of_p = log_sum(p);
    const LogSum of_q = log_sum(q);
    const auto token = static_cast<size_t>(next[i]);
    comparison.divergences.push_back(static_cast<float>(divergence(p, of_p, q, of_q)));
    comparison.reference_losses.push_back(static_cast<float>(of_p.log_sum - p[token]));
    comparison.losses.push_back(static_cast<float>(of_q.log_sum - q[token]));
    comparison.same_top += of_p.top == of_q.top ? 1 : 0;
  }
  return comparison;
}

}  // namespace sightline::runtime
