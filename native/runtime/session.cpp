// A model's tokens and cache on disk.

#include "cache/snapshot.h"
#include "runtime/fingerprint.h"
#include "runtime/model.h"

namespace sightline::runtime {
namespace {

using cache::SnapshotStatus;

Error session_error(const std::string& path, const cache::SnapshotResult& result) {
  switch (result.status) {
    case SnapshotStatus::io_error:
      return {Code::session_invalid, path + " could not be read: " + result.message};
    case SnapshotStatus::exhausted:
      return {Code::cache_exhausted, path + " does not fit the cache: " + result.message +
                                         " Give the cache more memory, or evaluate anew."};
    default:
      return {Code::session_invalid,
              path + " is not used: " + result.message + " It is safe to delete it."};
  }
}

Error unreadable(const std::string& path) {
  return {Code::model_not_found, path + " cannot be read any more. Load the model again."};
}

}  // namespace

/// Layers that keep llama.cpp's own cache would be missing in the file.
Result<Done> Model::check_sessions() const {
  if (device_ != nullptr && device_->owned_layers() > 0 && device_->passed_bytes() == 0)
    return Done{};
  return Error{Code::model_unsupported,
               "Part of this model's cache is llama.cpp's own (sliding windows or recurrent "
               "layers), so it cannot be saved. Evaluate the text anew instead."};
}

Result<Session> Model::save_session(const std::string& path) {
  if (const auto checked = check_sessions(); !checked) return checked.error();
  if (const auto used = use(kFirstSequence); !used) return used.error();
  const auto print = fingerprint(options_.model_path);
  if (!print) return unreadable(options_.model_path);
  const cache::SnapshotResult saved = cache::save_snapshot(path, device_->cache(), tokens_, *print);
  if (saved.status != SnapshotStatus::ok) {
    return Error{Code::write_failed, path + " could not be written: " + saved.message +
                                         " Nothing was left behind; free some space or choose "
                                         "another folder."};
  }
  return Session{static_cast<int32_t>(tokens_.size()), device_->cache().account().bytes()};
}

Result<Session> Model::restore_session(const std::string& path) {
  if (const auto checked = check_sessions(); !checked) return checked.error();
  if (const auto used = use(kFirstSequence); !used) return used.error();
  const auto print = fingerprint(options_.model_path);
  if (!print) return unreadable(options_.model_path);
  truncate(0);
  device_->cache().hold(cache::kNoHold);
  std::vector<llama_token> tokens;
  const cache::SnapshotResult restored =
      cache::restore_snapshot(path, device_->cache(), *print, tokens);
  if (restored.status != SnapshotStatus::ok) return session_error(path, restored);

  const auto drop = [&] {
    device_->cache().truncate(0);
    truncate(0);
  };
  const bool fits = tokens.size() <= static_cast<size_t>(info_.context_tokens) &&
                    check_tokens(tokens).operator bool();
  if (!fits) {
    drop();
    return Error{Code::session_invalid,
                 path +
                     " is not used: it holds more tokens than this context, or others than this "
                     "model's. It is safe to delete it."};
  }
  if (const auto noted = note_tokens(std::move(tokens)); !noted) return noted.error();
  publish();
  return Session{static_cast<int32_t>(tokens_.size()), device_->cache().account().bytes()};
}

}  // namespace sightline::runtime
