#include "backend/environment.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <optional>
#include <string_view>

#include "attention/format/format.h"

namespace sightline::backend {
namespace {

struct Number {
  const char* name;
  int32_t least, most;
};

constexpr Number kSink{"SIGHTLINE_SINK", 0, 65536};
constexpr Number kWindow{"SIGHTLINE_WINDOW", 0, 1 << 24};
constexpr Number kSpan{"SIGHTLINE_SPAN", 0, 1 << 24};
constexpr Number kBudget{"SIGHTLINE_BUDGET_MIB", 1, 1 << 20};

std::string wrong(const char* name, std::string_view value, const std::string& right) {
  return std::string(name) + " is \"" + std::string(value) + "\" but must be " + right + ".";
}

/// Only of those whose steps may have any length: the program that runs us knows no others.
std::optional<cache::PolicyKind> kind_named(std::string_view name) {
  const auto kind = cache::policy_named(name);
  if (!kind || cache::Policy{.kind = *kind}.decides_from_data()) return std::nullopt;
  return kind;
}

}  // namespace

std::variant<Settings, std::string> read_environment(const Variable& variable) {
  std::optional<std::string> error;
  const auto number = [&](const Number& known, int32_t otherwise) {
    const char* value = variable(known.name);
    if (value == nullptr) return otherwise;
    const std::string_view text(value);
    int32_t parsed = 0;
    const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), parsed);
    const bool whole = code == std::errc{} && end == text.data() + text.size();
    if (!whole || parsed < known.least || parsed > known.most) {
      error = wrong(known.name, text,
                    "a whole number from " + std::to_string(known.least) + " to " +
                        std::to_string(known.most));
    }
    return parsed;
  };
  const auto text = [&](const char* name, const char* otherwise) {
    const char* value = variable(name);
    return std::string_view(value != nullptr ? value : otherwise);
  };

  cache::Policy policy;
  const std::string_view name = text("SIGHTLINE_CACHE", "selective");
  const auto kind = kind_named(name);
  if (!kind)
    return wrong("SIGHTLINE_CACHE", name, "full, selective, hierarchical, compressed or auto");
  policy.kind = *kind;
  const std::string_view tier_name = text("SIGHTLINE_TIER", "int8");
  const auto tier = attention::tier_named(tier_name);
  if (!tier) return wrong("SIGHTLINE_TIER", tier_name, "fp16, fp8, int8, k8v4, int4 or k4v2");
  policy.tier = *tier;
  const bool is_full = *kind == cache::PolicyKind::full;
  policy.sink = number(kSink, is_full ? 0 : cache::kDefaultSink);
  policy.window = number(kWindow, is_full ? 0 : cache::default_window(policy));
  policy.span = number(kSpan, std::max(policy.span, policy.window));
  const auto budget = static_cast<size_t>(number(kBudget, 0)) << 20;
  policy.budget = budget;
  if (!error && *kind == cache::PolicyKind::automatic && budget == 0)
    error = "SIGHTLINE_CACHE is auto: SIGHTLINE_BUDGET_MIB must say how much memory it may use.";
  if (!error) error = cache::fault_of(policy);
  if (error) return *error;
  return Settings{policy, budget};
}

std::string describe(const Settings& settings) {
  const cache::Policy& policy = settings.policy;
  std::string text = std::string(cache::name_of(policy.kind)) + " cache";
  if (policy.kind != cache::PolicyKind::full)
    text += ", sink " + std::to_string(policy.sink) + ", window " + std::to_string(policy.window);
  if (policy.kind == cache::PolicyKind::selective) text += ", " + attention::name_of(policy.tier);
  text += settings.budget_bytes == 0
              ? ", no bound"
              : ", at most " + std::to_string(settings.budget_bytes >> 20) + " MiB";
  return text;
}

}  // namespace sightline::backend
