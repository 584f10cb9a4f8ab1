#define WIN32_LEAN_AND_MEAN
#define NOMINMAX
#include <windows.h>

#include <algorithm>
#include <string>
#include <utility>

#include "cache/file.h"

namespace sightline::cache {
namespace {

std::error_code last_error() { return {static_cast<int>(GetLastError()), std::system_category()}; }

/// Names tried until one is not taken, as by a process that was killed.
constexpr int kMostNames = 100;

std::filesystem::path own_name(std::filesystem::path path, DWORD process, int i) {
  (path += ".") += std::to_string(process);
  (path += "-") += std::to_string(i);
  return path += ".tmp";
}

constexpr size_t kMostWritten = size_t{1} << 30;

}  // namespace

MappedFile::MappedFile(const std::filesystem::path& path, std::error_code& error) {
  error.clear();
  const HANDLE file = CreateFileW(path.c_str(), GENERIC_READ, FILE_SHARE_READ | FILE_SHARE_DELETE,
                                  nullptr, OPEN_EXISTING, FILE_ATTRIBUTE_NORMAL, nullptr);
  LARGE_INTEGER size{};
  if (file == INVALID_HANDLE_VALUE || !GetFileSizeEx(file, &size)) {
    error = last_error();
  } else if (size.QuadPart > 0) {
    const HANDLE mapping = CreateFileMappingW(file, nullptr, PAGE_READONLY, 0, 0, nullptr);
    const void* data =
        mapping != nullptr ? MapViewOfFile(mapping, FILE_MAP_READ, 0, 0, 0) : nullptr;
    if (data == nullptr) {
      error = last_error();
    } else {
      data_ = static_cast<const std::byte*>(data);
      size_ = static_cast<size_t>(size.QuadPart);
    }
    if (mapping != nullptr) CloseHandle(mapping);
  }
  if (file != INVALID_HANDLE_VALUE) CloseHandle(file);
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) UnmapViewOfFile(data_);
}

NewFile::NewFile(std::filesystem::path path, std::error_code& error) : path_(std::move(path)) {
  error.clear();
  for (int i = 0; i < kMostNames && file_ == nullptr; i++) {
    own_path_ = own_name(path_, GetCurrentProcessId(), i);
    const HANDLE file = CreateFileW(own_path_.c_str(), GENERIC_WRITE, 0, nullptr, CREATE_NEW,
                                    FILE_ATTRIBUTE_NORMAL, nullptr);
    if (file != INVALID_HANDLE_VALUE) file_ = file;
    if (file_ == nullptr && GetLastError() != ERROR_FILE_EXISTS) break;
  }
  if (file_ == nullptr) error = last_error();
}

NewFile::~NewFile() {
  if (file_ == nullptr) return;
  close();
  DeleteFileW(own_path_.c_str());
}

void NewFile::close() {
  CloseHandle(file_);
  file_ = nullptr;
}

void NewFile::write(std::span<const std::byte> bytes, std::error_code& error) {
  error.clear();
  while (!bytes.empty()) {
    DWORD written = 0;
    if (!WriteFile(file_, bytes.data(), static_cast<DWORD>(std::min(bytes.size(), kMostWritten)),
                   &written, nullptr)) {
      error = last_error();
      return;
    }
    bytes = bytes.subspan(written);
  }
}

void NewFile::publish(std::error_code& error) {
  error.clear();
  if (!FlushFileBuffers(file_)) {
    error = last_error();
    return;
  }
  close();  // an open file has no other name
  if (!MoveFileExW(own_path_.c_str(), path_.c_str(),
                   MOVEFILE_REPLACE_EXISTING | MOVEFILE_WRITE_THROUGH)) {
    error = last_error();
    DeleteFileW(own_path_.c_str());
  }
}

}  // namespace sightline::cache
