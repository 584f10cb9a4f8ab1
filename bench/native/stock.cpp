// Stock llama.cpp in a process of its own. Commands come in and answers go out a line each:
//
//   go DEPTH    the cache holds DEPTH tokens again
//   evaluate N  N more tokens, at most 512, in one batch
//
// The answer is the command's number, when it is done.
//
// A deep cache is filled by evaluating one chunk and copying its state: what a cache holds does not
// change how long attention to it takes, and evaluating as many tokens takes up to an hour. The
// copies keep the positions of the first chunk, so that all of them lie before the next token and
// the causal mask hides none.

#include <algorithm>
#include <cstdint>
#include <iostream>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <vector>

#include "bench.h"
#include "cache_type.h"
#include "llama.h"

namespace sightline::bench {
namespace {

constexpr int kChunk = 512;  // also the micro-batch, as in Sightline's own contexts
constexpr llama_seq_id kMain = 0;
constexpr llama_seq_id kSpare = 1;

struct Free {
  void operator()(llama_model* model) const { llama_model_free(model); }
  void operator()(llama_context* context) const { llama_free(context); }
};

void log_errors(ggml_log_level level, const char* text, void*) {
  if (level == GGML_LOG_LEVEL_ERROR) std::cerr << text;
}

class Stock {
 public:
  explicit Stock(const Arguments& arguments) {
    llama_log_set(log_errors, nullptr);
    ggml_backend_load_all_from_path(arguments.text("libraries").c_str());
    ggml_backend_dev_t none[] = {nullptr};
    llama_model_params model_parameters = llama_model_default_params();
    model_parameters.devices = none;
    model_.reset(llama_model_load_from_file(arguments.text("model").c_str(), model_parameters));
    if (model_ == nullptr) throw std::runtime_error("the model could not be loaded");

    llama_context_params parameters = llama_context_default_params();
    parameters.n_ctx = static_cast<uint32_t>(arguments.count("context"));
    parameters.n_batch = kChunk;
    parameters.n_ubatch = kChunk;
    parameters.n_seq_max = 2;
    parameters.kv_unified = true;  // one buffer, so that a copy only marks cells
    parameters.n_threads = arguments.count("threads");
    parameters.n_threads_batch = parameters.n_threads;
    parameters.no_perf = true;
    parameters.type_k = parameters.type_v = cache_type(arguments.text("type"));
    parameters.flash_attn_type = arguments.text("flash-attention") == "on"
                                     ? LLAMA_FLASH_ATTN_TYPE_ENABLED
                                     : LLAMA_FLASH_ATTN_TYPE_DISABLED;
    context_.reset(llama_init_from_model(model_.get(), parameters));
    if (context_ == nullptr) throw std::runtime_error("there is no room for the context");
    memory_ = llama_get_memory(context_.get());
  }

  /// Depths are up to a chunk or multiples of one.
  void go(int depth) {
    if (depth < 0 || (depth > kChunk && depth % kChunk != 0))
      throw std::invalid_argument("a depth beyond " + std::to_string(kChunk) +
                                  " must be a multiple of it");
    const int first = std::min(depth, kChunk);
    if (depth < depth_ || next_ < first) {
      llama_memory_clear(memory_, true);
      depth_ = next_ = 0;
    }
    if (next_ > first) llama_memory_seq_rm(memory_, kMain, first, -1);
    if (next_ < first) evaluate(first - next_);
    next_ = first;
    depth_ = std::max(depth_, first);
    if (depth_ < depth) copy_first_chunk(depth);
  }

  void evaluate(int count) {
    if (count < 1 || count > kChunk)
      throw std::invalid_argument("a batch has 1 to " + std::to_string(kChunk) + " tokens");
    std::vector<llama_token> tokens;
    for (int i = 0; i < count; i++) tokens.push_back((next_ + i) * 7919 % 4000);
    // Positions follow on from what sequence 0 holds.
    if (llama_decode(context_.get(), llama_batch_get_one(tokens.data(), count)) != 0)
      throw std::runtime_error("llama_decode failed");
    if (llama_get_logits_ith(context_.get(), -1) == nullptr)
      throw std::runtime_error("llama.cpp gave no logits");
    next_ += count;
  }

 private:
  void copy_first_chunk(int depth) {
    if (first_chunk_.empty()) {
      first_chunk_.resize(llama_state_seq_get_size(context_.get(), kMain));
      llama_state_seq_get_data(context_.get(), first_chunk_.data(), first_chunk_.size(), kMain);
    }
    for (; depth_ < depth; depth_ += kChunk) {
      if (llama_state_seq_set_data(context_.get(), first_chunk_.data(), first_chunk_.size(),
                                   kSpare) == 0)
        throw std::runtime_error("the state of the first tokens could not be copied");
      llama_memory_seq_cp(memory_, kSpare, kMain, -1, -1);
      llama_memory_seq_rm(memory_, kSpare, -1, -1);
    }
  }

  std::unique_ptr<llama_model, Free> model_;
  std::unique_ptr<llama_context, Free> context_;
  llama_memory_t memory_ = nullptr;
  std::vector<uint8_t> first_chunk_;
  int depth_ = 0;  // tokens in the cache, those appended since aside
  int next_ = 0;   // position of the next token
};

}  // namespace

void stock(const Arguments& arguments) {
  Stock stock(arguments);
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream words(line);
    std::string command;
    int tokens = 0;
    words >> command >> tokens;
    if (command == "go" && words) {
      stock.go(tokens);
    } else if (command == "evaluate" && words) {
      stock.evaluate(tokens);
    } else {
      throw std::invalid_argument("unknown command: " + line);
    }
    std::cout << tokens << std::endl;
  }
}

}  // namespace sightline::bench
