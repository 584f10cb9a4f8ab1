#include "runtime/key_bias.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <memory>

#include "runtime/gguf_file.h"
#include "runtime/llama_log.h"

namespace sightline::runtime {
namespace {

constexpr double kOutlier = 8;

/// A tensor of floats; empty where the file has no such tensor.
std::vector<float> read_floats(const gguf_context* file, std::ifstream& stream,
                               const std::string& name) {
  const int64_t id = gguf_find_tensor(file, name.c_str());
  if (id < 0 || gguf_get_tensor_type(file, id) != GGML_TYPE_F32) return {};
  std::vector<float> values(gguf_get_tensor_size(file, id) / sizeof(float));
  stream.seekg(
      static_cast<std::streamoff>(gguf_get_data_offset(file) + gguf_get_tensor_offset(file, id)));
  stream.read(reinterpret_cast<char*>(values.data()),
              static_cast<std::streamsize>(values.size() * sizeof(float)));
  return stream ? values : std::vector<float>();
}

}  // namespace

std::vector<double> key_bias_norms(const std::string& model_path) {
  const LogCapture log;
  const GgufFile file = open_gguf(model_path);
  std::ifstream stream(model_path, std::ios::binary);
  std::vector<double> norms;
  while (file != nullptr && stream) {
    const std::string name = "blk." + std::to_string(norms.size()) + ".attn_k.bias";
    const std::vector<float> bias = read_floats(file.get(), stream, name);
    if (bias.empty()) break;
    double sum = 0;
    for (const float x : bias) sum += double{x} * x;
    norms.push_back(std::sqrt(sum));
  }
  return norms;
}

std::vector<int32_t> biased_layers(const std::vector<double>& norms) {
  std::vector<int32_t> layers;
  if (norms.empty()) return layers;
  std::vector<double> sorted = norms;
  const auto middle = sorted.begin() + static_cast<ptrdiff_t>((sorted.size() - 1) / 2);
  std::nth_element(sorted.begin(), middle, sorted.end());
  for (size_t layer = 0; layer < norms.size(); layer++)
    if (norms[layer] > kOutlier * *middle) layers.push_back(static_cast<int32_t>(layer));
  return layers;
}

}  // namespace sightline::runtime
