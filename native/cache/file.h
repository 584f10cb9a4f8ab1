#pragma once
// Files as snapshots need them: read through memory, written whole or not at all.

#include <cstddef>
#include <filesystem>
#include <span>
#include <system_error>

namespace sightline::cache {

/// The bytes of a file as long as this lives. Nobody may shorten the file meanwhile.
class MappedFile {
 public:
  MappedFile(const std::filesystem::path& path, std::error_code& error);
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

  std::span<const std::byte> bytes() const { return {data_, size_}; }  // page-aligned

 private:
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

/// A file that appears under its name, in place of an older one, only once it is whole and on disk.
/// Until then it has a name of its own in the same folder, and goes when this goes. For the user
/// alone to read.
class NewFile {
 public:
  NewFile(std::filesystem::path path, std::error_code& error);
  NewFile(const NewFile&) = delete;
  NewFile& operator=(const NewFile&) = delete;
  ~NewFile();

  void write(std::span<const std::byte> bytes, std::error_code& error);
  void publish(std::error_code& error);

 private:
  void close();

  std::filesystem::path path_, own_path_;
#if defined(_WIN32)
  void* file_ = nullptr;
#else
  int file_ = -1;
#endif
};

}  // namespace sightline::cache
