#include "backend/environment.h"

#include <charconv>
#include <cstdint>
#include <optional>
#include <string_view>

namespace sightline::backend {
namespace {

struct Number {
  const char* name;
  int32_t least, most, otherwise;
};

constexpr Number kSink{"SIGHTLINE_SINK", 0, attention::kBlockTokens, 16};
constexpr Number kWindow{"SIGHTLINE_WINDOW", 0, 65536, 256};
constexpr Number kBudget{"SIGHTLINE_BUDGET_MIB", 1, 1 << 20, 0};

std::string wrong(const char* name, std::string_view value, const std::string& right) {
  return std::string(name) + " is \"" + std::string(value) + "\" but must be " + right + ".";
}

}  // namespace

std::variant<Settings, std::string> read_environment(const Variable& variable) {
  std::optional<std::string> error;
  const auto number = [&](const Number& known) {
    const char* value = variable(known.name);
    if (value == nullptr) return known.otherwise;
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
  const cache::Policy selective{cache::PolicyKind::selective, number(kSink), number(kWindow)};
  const auto budget = static_cast<size_t>(number(kBudget)) << 20;
  if (error) return *error;

  const char* name = variable("SIGHTLINE_CACHE");
  const std::string_view policy = name != nullptr ? name : "selective";
  if (policy == "selective") return Settings{selective, budget};
  if (policy == "full") return Settings{{cache::PolicyKind::full, 0, 0}, budget};
  return wrong("SIGHTLINE_CACHE", policy, "\"selective\" or \"full\"");
}

std::string describe(const Settings& settings) {
  const auto& [kind, sink, window] = settings.policy;
  std::string text =
      kind == cache::PolicyKind::full
          ? "full cache"
          : "selective cache, sink " + std::to_string(sink) + ", window " + std::to_string(window);
  text += settings.budget_bytes == 0
              ? ", no bound"
              : ", at most " + std::to_string(settings.budget_bytes >> 20) + " MiB";
  return text;
}

}  // namespace sightline::backend
