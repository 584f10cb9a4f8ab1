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
  CHECK(settings.policy.tier == attention::Tier{attention::Format::int8, attention::Format::int8});
  CHECK(settings.policy.sink == 16);
  CHECK(settings.policy.window == 256);
  CHECK(settings.budget_bytes == 0);
  CHECK(describe(settings) == "selective cache in int8, sink 16, window 256");
  const auto coarse = std::get<Settings>(read({{"SIGHTLINE_TIER", "int4"}}));
  CHECK(coarse.policy.window == cache::default_window(coarse.policy));
  CHECK(coarse.policy.window > 256);
}

TEST_CASE("what is set counts") {
  const auto selective = std::get<Settings>(read({{"SIGHTLINE_CACHE", "selective"},
                                                  {"SIGHTLINE_TIER", "k8v4"},
                                                  {"SIGHTLINE_SINK", "0"},
                                                  {"SIGHTLINE_WINDOW", "512"},
                                                  {"SIGHTLINE_BUDGET_MIB", "3000"}}));
  CHECK(selective.budget_bytes == size_t{3000} << 20);
  CHECK(describe(selective) == "selective cache in k8v4, sink 0, window 512, at most 3000 MiB");
  const auto full = std::get<Settings>(read({{"SIGHTLINE_CACHE", "full"}}));
  CHECK(describe(full) == "full cache");
  const auto hierarchical = std::get<Settings>(read({{"SIGHTLINE_CACHE", "hierarchical"},
                                                     {"SIGHTLINE_WINDOW", "512"},
                                                     {"SIGHTLINE_SPAN", "2048"}}));
  CHECK(describe(hierarchical) == "hierarchical cache, sink 16, window 512, span 2048");
  const auto automatic =
      std::get<Settings>(read({{"SIGHTLINE_CACHE", "auto"}, {"SIGHTLINE_BUDGET_MIB", "64"}}));
  CHECK(automatic.policy.budget == size_t{64} << 20);
  for (const auto& settings : {selective, full, hierarchical, automatic})
    CHECK_FALSE(cache::fault_of(settings.policy).has_value());
}

TEST_CASE("what makes no sense is named, with what would") {
  const auto wrong = [](const std::map<std::string, std::string>& environment) {
    const auto read_wrong = read(environment);
    REQUIRE(std::holds_alternative<std::string>(read_wrong));
    return std::get<std::string>(read_wrong);
  };
  const auto names = [&](const char* name, const char* value, const char* right) {
    CHECK(wrong({{name, value}}) ==
          std::string(name) + " is \"" + value + "\" but must be " + right + ".");
  };
  for (const char* value :
       {"", "FULL", "int8", "full ", "h2o", "attention", "importance", "lowrank"})
    names("SIGHTLINE_CACHE", value, "full, selective, hierarchical, compressed or auto");
  for (const char* value : {"", "int3", "selective"})
    names("SIGHTLINE_TIER", value, "fp16, fp8, int8, k8v4, int4 or k4v2");
  for (const char* value : {"", "-1", "65537", "1.5", "16k", " 16", "99999999999999999999"})
    names("SIGHTLINE_SINK", value, "a whole number from 0 to 65536");
  for (const char* value : {"-1", "16777217", "x"})
    names("SIGHTLINE_WINDOW", value, "a whole number from 0 to 16777216");
  for (const char* value : {"0", "-5", "1GiB"})
    names("SIGHTLINE_BUDGET_MIB", value, "a whole number from 1 to 1048576");

  CHECK(wrong({{"SIGHTLINE_CACHE", "auto"}}) == "SIGHTLINE_CACHE=auto needs SIGHTLINE_BUDGET_MIB.");
  CHECK(wrong({{"SIGHTLINE_CACHE", "full"}, {"SIGHTLINE_WINDOW", "256"}}) ==
        "SIGHTLINE_WINDOW is set but means nothing with SIGHTLINE_CACHE=full.");
  CHECK(wrong({{"SIGHTLINE_SPAN", "256"}}) ==
        "SIGHTLINE_SPAN is set but means nothing with SIGHTLINE_CACHE=selective.");
  CHECK(wrong({{"SIGHTLINE_CACHE", "hierarchical"}, {"SIGHTLINE_SPAN", "5"}})
            .find("The span must have from the window's tokens") == 0);
}
