// The attention of llama.cpp's own graphs, as operations of ggml on its CPU backend.

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "attention.h"
#include "cache_type.h"
#include "ggml-alloc.h"
#include "ggml-backend.h"
#include "ggml.h"

namespace sightline::bench {
namespace {

struct Free {
  void operator()(ggml_backend* backend) const { ggml_backend_free(backend); }
  void operator()(ggml_backend_buffer* buffer) const { ggml_backend_buffer_free(buffer); }
  void operator()(ggml_context* context) const { ggml_free(context); }
  void operator()(ggml_gallocr* allocator) const { ggml_gallocr_free(allocator); }
};

std::unique_ptr<ggml_backend, Free> cpu_backend(const std::string& libraries, int threads) {
  ggml_backend_load_all_from_path(libraries.c_str());
  std::unique_ptr<ggml_backend, Free> backend(
      ggml_backend_init_by_type(GGML_BACKEND_DEVICE_TYPE_CPU, nullptr));
  if (backend == nullptr) throw std::runtime_error("ggml has no CPU backend in that folder");
  ggml_backend_reg_t registry =
      ggml_backend_dev_backend_reg(ggml_backend_get_device(backend.get()));
  const auto set_threads = reinterpret_cast<ggml_backend_set_n_threads_t>(
      ggml_backend_reg_get_proc_address(registry, "ggml_backend_set_n_threads"));
  if (set_threads != nullptr) set_threads(backend.get(), threads);
  return backend;
}

/// Normal numbers in the tensor's type, the same in every 64 rows.
void fill(ggml_tensor* tensor) {
  const int64_t width = tensor->ne[0];
  const int64_t rows = std::min<int64_t>(ggml_nrows(tensor), 64);
  const std::vector<float> numbers = normal_numbers(static_cast<size_t>(rows * width));
  std::vector<std::byte> chunk(ggml_row_size(tensor->type, width) * static_cast<size_t>(rows));
  if (tensor->type == GGML_TYPE_F32)
    std::memcpy(chunk.data(), numbers.data(), chunk.size());
  else
    ggml_quantize_chunk(tensor->type, numbers.data(), chunk.data(), 0, rows, width, nullptr);
  for (size_t at = 0; at < ggml_nbytes(tensor); at += chunk.size())
    ggml_backend_tensor_set(tensor, chunk.data(), at,
                            std::min(chunk.size(), ggml_nbytes(tensor) - at));
}

std::unique_ptr<ggml_context, Free> context_for(size_t tensors) {
  const size_t bytes = tensors * ggml_tensor_overhead() + ggml_graph_overhead();
  return std::unique_ptr<ggml_context, Free>(ggml_init({bytes, nullptr, true}));
}

/// As llama.cpp's graphs compute it.
ggml_tensor* attention(ggml_context* in, bool flash, ggml_tensor* q, ggml_tensor* k, ggml_tensor* v,
                       ggml_tensor* mask, float scale) {
  if (flash) return ggml_flash_attn_ext(in, q, k, v, mask, scale, 0, 0);
  ggml_tensor* weights = ggml_soft_max_ext(in, ggml_mul_mat(in, k, q), mask, scale, 0);
  return ggml_mul_mat(in, v, weights);
}

}  // namespace

void ggml_attention(const Arguments& arguments) {
  const AttentionCase what(arguments);
  const ggml_type type = cache_type(arguments.text("type"));
  const bool flash = arguments.text("flash-attention") == "on";
  const auto backend = cpu_backend(arguments.text("libraries"), what.threads);

  const size_t layers = static_cast<size_t>(what.layers);
  const auto inputs = context_for(2 + 2 * layers);
  const auto nodes = context_for(4 * layers);
  const auto input = [&](ggml_type of, int64_t a, int64_t b, int64_t c = 1) {
    return ggml_new_tensor_3d(inputs.get(), of, a, b, c);
  };
  ggml_tensor* q = input(GGML_TYPE_F32, what.head_dim, what.queries, what.heads);
  ggml_tensor* mask = input(GGML_TYPE_F16, what.depth, what.queries);
  std::vector<ggml_tensor*> filled = {q};
  ggml_cgraph* graph = ggml_new_graph(nodes.get());
  const float scale = 1 / std::sqrt(static_cast<float>(what.head_dim));
  for (size_t layer = 0; layer < layers; layer++) {
    ggml_tensor* k = input(type, what.head_dim, what.depth, what.kv_heads);
    ggml_tensor* v = flash ? input(type, what.head_dim, what.depth, what.kv_heads)
                           : input(type, what.depth, what.head_dim, what.kv_heads);
    filled.insert(filled.end(), {k, v});
    ggml_build_forward_expand(graph, attention(nodes.get(), flash, q, k, v, mask, scale));
  }
  const std::unique_ptr<ggml_backend_buffer, Free> buffer(
      ggml_backend_alloc_ctx_tensors(inputs.get(), backend.get()));
  const std::unique_ptr<ggml_gallocr, Free> allocator(
      ggml_gallocr_new(ggml_backend_get_default_buffer_type(backend.get())));
  if (buffer == nullptr || !ggml_gallocr_alloc_graph(allocator.get(), graph))
    throw std::runtime_error("there is no room for the tensors");
  ggml_backend_buffer_clear(buffer.get(), 0);  // a mask of zeros hides nothing
  for (ggml_tensor* tensor : filled) fill(tensor);

  time_layers([&] {
    if (ggml_backend_graph_compute(backend.get(), graph) != GGML_STATUS_SUCCESS)
      throw std::runtime_error("ggml could not compute the graph");
  });
}

}  // namespace sightline::bench
