#include "attention/cuda/upload.h"

namespace sightline::attention::cuda {

void Upload::start(size_t bytes) {
  sent_.synchronize();
  used_ = 0;
  if (pinned_ && bytes <= pinned_->bytes()) return;
  // Half as much again: a list grows with every block of the cache.
  const size_t room = room_for<std::byte>(bytes + bytes / 2);
  pinned_.reset();
  memory_.reset();
  memory_.emplace(gpu_, room);
  pinned_.emplace(gpu_, room);  // last: where it is there, both are
}

void Upload::send(Stream& stream) {
  if (used_ == 0) return;
  stream.send(memory_->data(), pinned_->data(), used_);
  stream.record(sent_.handle());
}

}  // namespace sightline::attention::cuda
