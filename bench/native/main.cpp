#include <cstdio>
#include <exception>
#include <stdexcept>
#include <string_view>

#include "bench.h"

namespace sightline::bench {
namespace {

struct Command {
  std::string_view name;
  void (*run)(const Arguments&);
};

constexpr Command kCommands[] = {{"attention", own_attention}, {"bandwidth", bandwidth},
                                 {"cuda-bytes", cuda_bytes},   {"ggml-attention", ggml_attention},
                                 {"kernels", list_kernels},    {"stock", stock}};

}  // namespace

Arguments::Arguments(int count, const char* const* values) {
  for (int i = 0; i < count; i += 2) {
    const std::string_view name = values[i];
    if (!name.starts_with("--") || i + 1 == count)
      throw std::invalid_argument("expected --name value pairs, not " + std::string(name));
    values_.emplace(name.substr(2), values[i + 1]);
  }
}

const std::string& Arguments::text(const std::string& name) const {
  const auto found = values_.find(name);
  if (found == values_.end()) throw std::invalid_argument("--" + name + " is missing");
  return found->second;
}

int Arguments::count(const std::string& name) const {
  const std::string& value = text(name);
  size_t end = 0;
  const int count = std::stoi(value, &end);
  if (end != value.size() || count < 1) throw std::invalid_argument("--" + name + " takes a count");
  return count;
}

}  // namespace sightline::bench

int main(int argc, char** argv) {
  using namespace sightline::bench;
  const std::string_view wanted = argc > 1 ? argv[1] : "";
  for (const Command& command : kCommands) {
    if (command.name != wanted) continue;
    try {
      command.run(Arguments(argc - 2, argv + 2));
      return 0;
    } catch (const std::exception& error) {
      std::fprintf(stderr, "%s: %s\n", argv[1], error.what());
      return 1;
    }
  }
  std::fprintf(stderr, "commands:");
  for (const Command& command : kCommands) std::fprintf(stderr, " %s", command.name.data());
  std::fprintf(stderr, "\n");
  return 2;
}
