#pragma once
// The parts of the benchmarks that have to be native, as subcommands of one program.

#include <map>
#include <string>

namespace sightline::bench {

/// `--name value` pairs of the command line.
class Arguments {
 public:
  Arguments(int count, const char* const* values);

  /// Throw std::invalid_argument where the argument is absent or not as it should be.
  const std::string& text(const std::string& name) const;
  int count(const std::string& name) const;

 private:
  std::map<std::string, std::string> values_;
};

/// Read bandwidth of memory. Prints one JSON object.
void bandwidth(const Arguments& arguments);

/// Our attention, and ggml's, alone (attention.h).
void own_attention(const Arguments& arguments);
void ggml_attention(const Arguments& arguments);

/// Global memory that CUDA's decode kernel reads and writes for one KV head, counted by the
/// emulator. Prints one JSON object.
void cuda_bytes(const Arguments& arguments);

/// Names of the kernels that run here, fastest first. Prints one JSON object.
void list_kernels(const Arguments& arguments);

/// Stock llama.cpp at depth. Answers commands from standard input until that ends.
void stock(const Arguments& arguments);

}  // namespace sightline::bench
