#include "backend/environment.h"

#include <doctest/doctest.h>

#include <map>

using namespace sightline;
using namespace sightline::backend;

namespace {

std::variant<Settings, std::string> read(const std::map<std::string, std::string>& environment) {
  return read_environment([&](const char* name) -> const char* {
    const auto known = environment.find(name);
    return known != environment.end() ? known->second.c_str() : nullptr;
  });
}

}  // namespace

TEST_CASE("what is not set has a default") {
  const auto settings = std::get<Settings>(read({}));
  CHECK(settings.policy.kind == cache::PolicyKind::selective);
  CHECK(settings.policy.sink == 16);
  CHECK(settings.policy.window == 256);
  CHECK(settings.budget_bytes == 0);
  CHECK(describe(settings) == "selective cache, sink 16, window 256, int8, no bound");
}

TEST_CASE("what is set counts") {
  const auto settings = std::get<Settings>(read({{"SIGHTLINE_CACHE", "selective"},
                                                 {"SIGHTLINE_SINK", "0"},
                                                 {"SIGHTLINE_WINDOW", "1024"},
                                                 {"SIGHTLINE_BUDGET_MIB", "3000"}}));
  CHECK(settings.policy.sink == 0);
  CHECK(settings.policy.window == 1024);
  CHECK(settings.budget_bytes == size_t{3000} << 20);
  const auto int4 = std::get<Settings>(read({{"SIGHTLINE_TIER", "int4"}}));
  CHECK(int4.policy.window == cache::default_window(int4.policy));
  CHECK(int4.policy.window > 256);
  const auto automatic =
      std::get<Settings>(read({{"SIGHTLINE_CACHE", "auto"}, {"SIGHTLINE_BUDGET_MIB", "512"}}));
  CHECK(automatic.policy.budget == size_t{512} << 20);
  const auto full = std::get<Settings>(read({{"SIGHTLINE_CACHE", "full"}}));
  CHECK(full.policy.kind == cache::PolicyKind::full);
  CHECK(describe(full) == "full cache, no bound");
}

TEST_CASE("what makes no sense is named, with what would") {
  const auto wrong = [](const char* name, const char* value) {
    const auto read_wrong = read({{name, value}});
    REQUIRE(std::holds_alternative<std::string>(read_wrong));
    const auto& error = std::get<std::string>(read_wrong);
    CHECK(error.find(std::string(name) + " is \"" + value + "\"") == 0);
    return error;
  };
  for (const char* value : {"", "FULL", "int8", "full ", "h2o"})
    CHECK(wrong("SIGHTLINE_CACHE", value).find("selective, hierarchical") != std::string::npos);
  for (const char* value : {"", "-1", "65537", "1.5", "16k", " 16", "99999999999999999999"})
    CHECK(wrong("SIGHTLINE_SINK", value).find("from 0 to 65536") != std::string::npos);
  for (const char* value : {"-1", "16777217", "x"}) wrong("SIGHTLINE_WINDOW", value);
  for (const char* value : {"int3", "q8_0"}) wrong("SIGHTLINE_TIER", value);
  const auto unbounded = read({{"SIGHTLINE_CACHE", "auto"}});
  CHECK(std::get<std::string>(unbounded).find("SIGHTLINE_BUDGET_MIB") != std::string::npos);
  for (const char* value : {"0", "-5", "1GiB"}) wrong("SIGHTLINE_BUDGET_MIB", value);
}
