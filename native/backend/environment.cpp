#include "backend/environment.h"

#include <charconv>
#include <cstdint>
#include <optional>
#include <set>
#include <string_view>

#include "attention/format/format.h"

namespace sightline::backend {
namespace {

using cache::PolicyKind;

constexpr const char* kNames[] = {"SIGHTLINE_CACHE",  "SIGHTLINE_TIER", "SIGHTLINE_SINK",
                                  "SIGHTLINE_WINDOW", "SIGHTLINE_SPAN", "SIGHTLINE_BUDGET_MIB"};

/// Reads variables and remembers the first thing that is wrong with them.
class Reader {
 public:
  explicit Reader(const Variable& variable) : variable_(variable) {}

  const std::string& wrong() const { return wrong_; }

  std::optional<std::string_view> text(const char* name) {
    read_.insert(name);
    const char* value = variable_(name);
    return value != nullptr ? std::optional<std::string_view>(value) : std::nullopt;
  }

  int32_t number(const char* name, int32_t least, int32_t most, int32_t otherwise) {
    const auto value = text(name);
    if (!value) return otherwise;
    int32_t number = 0;
    const char* end = value->data() + value->size();
    const auto [rest, error] = std::from_chars(value->data(), end, number);
    if (error != std::errc{} || rest != end || number < least || number > most) {
      fail(name, *value,
           "a whole number from " + std::to_string(least) + " to " + std::to_string(most));
    }
    return number;
  }

  void fail(const char* name, std::string_view value, const std::string& right) {
    note(std::string(name) + " is \"" + std::string(value) + "\" but must be " + right + ".");
  }

  void note(const std::string& wrong) {
    if (wrong_.empty()) wrong_ = wrong;
  }

  /// A variable that was set and not read would be a setting that does nothing.
  void refuse_others(std::string_view policy) {
    for (const char* name : kNames)
      if (!read_.contains(name) && variable_(name) != nullptr)
        note(std::string(name) +
             " is set but means nothing with SIGHTLINE_CACHE=" + std::string(policy) + ".");
  }

 private:
  const Variable& variable_;
  std::set<std::string_view> read_;
  std::string wrong_;
};

/// Other policies decide about a block between two steps, and only our own engine makes its steps
/// end there.
std::optional<PolicyKind> kind_named(std::string_view name) {
  const auto kind = cache::policy_named(name);
  if (!kind || cache::Policy{.kind = *kind}.decides_from_data()) return std::nullopt;
  return kind;
}

}  // namespace

std::variant<Settings, std::string> read_environment(const Variable& variable) {
  Reader reader(variable);
  const std::string_view name = reader.text("SIGHTLINE_CACHE").value_or("selective");
  const auto kind = kind_named(name);
  if (!kind) {
    reader.fail("SIGHTLINE_CACHE", name, "full, selective, hierarchical, compressed or auto");
    return reader.wrong();
  }

  Settings settings{};
  cache::Policy& policy = settings.policy;
  policy.kind = *kind;
  if (policy.kind == PolicyKind::full) {
    policy.sink = 0;
  } else {
    if (policy.kind == PolicyKind::selective) {
      const std::string_view tier = reader.text("SIGHTLINE_TIER").value_or("int8");
      const auto named = attention::tier_named(tier);
      if (!named) reader.fail("SIGHTLINE_TIER", tier, "fp16, fp8, int8, k8v4, int4 or k4v2");
      policy.tier = named.value_or(policy.tier);
    }
    policy.sink = reader.number("SIGHTLINE_SINK", 0, 1 << 16, policy.sink);
    policy.window = reader.number("SIGHTLINE_WINDOW", 0, 1 << 24, cache::default_window(policy));
    if (policy.kind == PolicyKind::hierarchical)
      policy.span = reader.number("SIGHTLINE_SPAN", 0, 1 << 24, policy.span);
  }
  settings.budget_bytes = static_cast<size_t>(reader.number("SIGHTLINE_BUDGET_MIB", 1, 1 << 20, 0))
                          << 20;
  if (policy.kind == PolicyKind::automatic) {
    policy.budget = settings.budget_bytes;
    if (policy.budget == 0) reader.note("SIGHTLINE_CACHE=auto needs SIGHTLINE_BUDGET_MIB.");
  }
  reader.refuse_others(name);
  if (!reader.wrong().empty()) return reader.wrong();
  if (const auto fault = cache::fault_of(policy)) return *fault;
  return settings;
}

std::string describe(const Settings& settings) {
  const cache::Policy& policy = settings.policy;
  std::string text(cache::name_of(policy.kind));
  text += " cache";
  if (policy.kind == PolicyKind::selective) text += " in " + attention::name_of(policy.tier);
  if (policy.kind != PolicyKind::full) {
    text += ", sink " + std::to_string(policy.sink);
    text += ", window " + std::to_string(policy.window);
  }
  if (policy.kind == PolicyKind::hierarchical) text += ", span " + std::to_string(policy.span);
  if (settings.budget_bytes > 0)
    text += ", at most " + std::to_string(settings.budget_bytes >> 20) + " MiB";
  return text;
}

}  // namespace sightline::backend
