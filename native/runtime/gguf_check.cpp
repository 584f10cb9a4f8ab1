#include "runtime/gguf_check.h"

#include <array>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>

#include "runtime/gguf_file.h"
#include "runtime/llama_log.h"

namespace sightline::runtime {
namespace {

Error invalid(const std::string& path, const std::string& what) {
  return {Code::model_invalid, path + " is not a usable GGUF model: " + what +
                                   " Download the model again or choose another one."};
}

std::optional<uint32_t> unsigned_value(const gguf_context* file, const std::string& key) {
  const int64_t id = gguf_find_key(file, key.c_str());
  if (id < 0 || gguf_get_kv_type(file, id) != GGUF_TYPE_UINT32) return std::nullopt;
  return gguf_get_val_u32(file, id);
}

/// Whether `key` is absent, or an array of that type and (unless 0) of that many elements.
bool array_is(const gguf_context* file, const char* key, gguf_type type, size_t count) {
  const int64_t id = gguf_find_key(file, key);
  if (id < 0) return true;
  return gguf_get_kv_type(file, id) == GGUF_TYPE_ARRAY && gguf_get_arr_type(file, id) == type &&
         (count == 0 || gguf_get_arr_n(file, id) == count);
}

}  // namespace

Result<Done> check_gguf(const std::string& path) {
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  if (error || !std::filesystem::exists(status)) {
    return Error{Code::model_not_found, "There is no model file at " + path +
                                            ". Set sightline.model.path to a GGUF file, "
                                            "or leave it empty for the bundled model."};
  }
  if (!std::filesystem::is_regular_file(status)) return invalid(path, "it is not a file.");
  const uint64_t file_bytes = std::filesystem::file_size(path, error);
  std::array<char, 4> magic{};
  std::ifstream stream(path, std::ios::binary);
  if (!stream) {
    return Error{Code::model_not_found, path + " cannot be read: check its permissions."};
  }
  if (!stream.read(magic.data(), magic.size()) || std::string(magic.data(), 4) != "GGUF")
    return invalid(path, "it does not begin with the letters GGUF.");

  const LogCapture log;
  GgufFile owned;
  try {
    owned = open_gguf(path);
  } catch (const std::exception& failure) {
    return invalid(path, std::string("its header is damaged (") + failure.what() + ").");
  }
  const gguf_context* file = owned.get();
  if (file == nullptr) return invalid(path, "its header is damaged (" + log.errors() + ").");

  for (int64_t i = 0; i < gguf_get_n_tensors(file); i++) {
    const uint64_t offset = gguf_get_data_offset(file) + gguf_get_tensor_offset(file, i);
    const uint64_t bytes = gguf_get_tensor_size(file, i);
    if (offset > file_bytes || bytes > file_bytes - offset) {
      return invalid(path, std::string("the data of tensor ") + gguf_get_tensor_name(file, i) +
                               " lies beyond the end of the file; it is incomplete.");
    }
  }

  const int64_t architecture = gguf_find_key(file, "general.architecture");
  if (architecture < 0 || gguf_get_kv_type(file, architecture) != GGUF_TYPE_STRING)
    return invalid(path, "it does not name its architecture.");
  const std::string prefix = gguf_get_val_str(file, architecture);

  const auto in_range = [&](const std::string& key, uint32_t low, uint32_t high) {
    const auto value = unsigned_value(file, prefix + key);
    return !value || (*value >= low && *value <= high);
  };
  if (!in_range(".block_count", 1, 4096) || !in_range(".embedding_length", 1, 1u << 24) ||
      !in_range(".attention.head_count", 1, 1u << 16) ||
      !in_range(".attention.head_count_kv", 0, 1u << 16) ||
      !in_range(".context_length", 1, 1u << 30))
    return invalid(path, "its dimensions are out of range.");

  for (const char* key : {".attention.layer_norm_rms_epsilon", ".attention.layer_norm_epsilon"}) {
    const int64_t id = gguf_find_key(file, (prefix + key).c_str());
    if (id < 0) continue;
    const bool is_float = gguf_get_kv_type(file, id) == GGUF_TYPE_FLOAT32;
    if (!is_float || !(gguf_get_val_f32(file, id) >= 0.0f))
      return invalid(path, "its normalisation is out of range.");
  }

  const int64_t tokens = gguf_find_key(file, "tokenizer.ggml.tokens");
  if (tokens < 0 || !array_is(file, "tokenizer.ggml.tokens", GGUF_TYPE_STRING, 0))
    return invalid(path, "it has no vocabulary.");
  const size_t count = gguf_get_arr_n(file, tokens);
  if (count == 0 || !array_is(file, "tokenizer.ggml.scores", GGUF_TYPE_FLOAT32, count) ||
      !array_is(file, "tokenizer.ggml.token_type", GGUF_TYPE_INT32, count) ||
      !array_is(file, "tokenizer.ggml.merges", GGUF_TYPE_STRING, 0))
    return invalid(path, "its vocabulary is damaged.");
  return Done{};
}

}  // namespace sightline::runtime
