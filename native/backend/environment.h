#pragma once
// The settings of the backend library, which come from the environment. docs/backend.md lists them.

#include <cstddef>
#include <functional>
#include <string>
#include <variant>

#include "cache/policy.h"

namespace sightline::backend {

struct Settings {
  cache::Policy policy;
  size_t budget_bytes;  // 0: no bound
};

/// A variable's value, or null where it is not set.
using Variable = std::function<const char*(const char* name)>;

/// What the environment asks for, or a sentence that says which value is wrong and what is right.
std::variant<Settings, std::string> read_environment(const Variable& variable);

std::string describe(const Settings& settings);

}  // namespace sightline::backend
