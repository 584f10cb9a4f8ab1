#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <utility>

#include "cache/file.h"

namespace sightline::cache {
namespace {

std::error_code last_error() { return {errno, std::generic_category()}; }

/// Names tried until one is not taken, as by a process that was killed.
constexpr int kMostNames = 100;

std::filesystem::path own_name(std::filesystem::path path, pid_t process, int i) {
  (path += ".") += std::to_string(process);
  (path += "-") += std::to_string(i);
  return path += ".tmp";
}

}  // namespace

MappedFile::MappedFile(const std::filesystem::path& path, std::error_code& error) {
  error.clear();
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  struct stat status {};
  if (file < 0 || ::fstat(file, &status) != 0) {
    error = last_error();
  } else if (!S_ISREG(status.st_mode)) {
    error = std::make_error_code(std::errc::invalid_argument);
  } else if (status.st_size > 0) {
    const auto size = static_cast<size_t>(status.st_size);
    void* data = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file, 0);
    if (data == MAP_FAILED) {
      error = last_error();
    } else {
      data_ = static_cast<const std::byte*>(data);
      size_ = size;
    }
  }
  if (file >= 0) ::close(file);
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

NewFile::NewFile(std::filesystem::path path, std::error_code& error) : path_(std::move(path)) {
  error.clear();
  for (int i = 0; i < kMostNames && file_ < 0; i++) {
    own_path_ = own_name(path_, ::getpid(), i);
    file_ = ::open(own_path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, S_IRUSR | S_IWUSR);
    if (file_ < 0 && errno != EEXIST) break;
  }
  if (file_ < 0) error = last_error();
}

NewFile::~NewFile() {
  if (file_ < 0) return;
  close();
  ::unlink(own_path_.c_str());
}

void NewFile::close() {
  ::close(file_);
  file_ = -1;
}

void NewFile::write(std::span<const std::byte> bytes, std::error_code& error) {
  error.clear();
  while (!bytes.empty()) {
    const ssize_t written = ::write(file_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      error = last_error();
      return;
    }
    bytes = bytes.subspan(static_cast<size_t>(written));
  }
}

void NewFile::publish(std::error_code& error) {
  error.clear();
  if (::fsync(file_) != 0 || ::rename(own_path_.c_str(), path_.c_str()) != 0) {
    error = last_error();
    return;
  }
  close();
  // The new name is on disk once its folder is; not every file system can promise that.
  const std::filesystem::path folder = path_.has_parent_path() ? path_.parent_path() : ".";
  const int opened = ::open(folder.c_str(), O_RDONLY | O_CLOEXEC);
  if (opened < 0) return;
  ::fsync(opened);
  ::close(opened);
}

}  // namespace sightline::cache
