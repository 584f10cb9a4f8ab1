#include "runtime/fingerprint.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <vector>

#include "cache/hash.h"
#include "runtime/gguf_file.h"
#include "runtime/llama_log.h"

namespace sightline::runtime {
namespace {

constexpr uint64_t kSamples = 256;
constexpr uint64_t kSampleBytes = 4096;

}  // namespace

std::optional<Fingerprint> fingerprint(const std::string& model_path) {
  const LogCapture log;
  const GgufFile file = open_gguf(model_path);
  std::ifstream stream(model_path, std::ios::binary);
  std::error_code error;
  const uint64_t bytes = std::filesystem::file_size(model_path, error);
  if (file == nullptr || !stream || error) return std::nullopt;

  cache::Hash64 hash;
  std::vector<std::byte> buffer;
  const auto add = [&](uint64_t offset, uint64_t count) {
    buffer.resize(count);
    stream.seekg(static_cast<std::streamoff>(offset));
    stream.read(reinterpret_cast<char*>(buffer.data()), static_cast<std::streamsize>(count));
    hash.add(buffer);
  };
  const uint64_t header = std::min<uint64_t>(gguf_get_data_offset(file.get()), bytes);
  add(0, header);
  for (uint64_t i = 0; i < kSamples; i++) {
    const uint64_t offset = header + (bytes - header) / kSamples * i;
    add(offset, std::min(kSampleBytes, bytes - offset));
  }
  if (!stream) return std::nullopt;

  Fingerprint result{};
  const uint64_t value = hash.value();
  std::memcpy(result.data(), &bytes, sizeof bytes);
  std::memcpy(result.data() + sizeof bytes, &value, sizeof value);
  return result;
}

}  // namespace sightline::runtime
