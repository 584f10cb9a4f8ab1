#include "cache/gpu_memory.h"

#include <cstdint>
#include <span>

#include "attention/cuda/transfer.h"
#include "attention/format/format.h"

namespace sightline::cache {

using attention::Copy;
namespace cuda = attention::cuda;

namespace {

// What the driver takes of the GPU at once.
constexpr size_t kGranuleBytes = size_t{2} << 20;

/// Each KV head's part of a copy, by turns.
template <typename Convert>
void each_part(Geometry geometry, const Copy& copy, std::byte* data, const Convert& convert) {
  const attention::Extent extent = copy.extent(geometry.head_dim);
  const size_t bytes = attention::part_bytes(copy.tier, extent);
  for (int32_t head = 0; head < geometry.kv_heads; head++)
    convert(copy.tier, extent, std::span(data + bytes * static_cast<size_t>(head), bytes));
}

}  // namespace

GpuMemory::GpuMemory(cuda::Launcher& launcher) : launcher_(launcher) {
  const cuda::Gpu::Current current(launcher_.gpu());
  upload_.emplace(launcher_.gpu());
  scratch_.emplace(launcher_.gpu());
}

GpuMemory::~GpuMemory() {
  const cuda::Gpu::Current current(launcher_.gpu());
  upload_.reset();
  scratch_.reset();
}

size_t GpuMemory::rounded_up(size_t bytes) const {
  return (bytes + kGranuleBytes - 1) / kGranuleBytes * kGranuleBytes;
}

std::byte* GpuMemory::take(size_t bytes) {
  const cuda::Gpu::Current current(launcher_.gpu());
  const cuda::Driver& driver = launcher_.gpu().driver();
  cuda::DevicePointer pages = 0;
  const cuda::DriverStatus status = driver.allocate(&pages, bytes);
  if (status == cuda::kOutOfMemory) return nullptr;
  cuda::check(driver, status, "taking memory of the GPU");
  return reinterpret_cast<std::byte*>(static_cast<uintptr_t>(pages));
}

void GpuMemory::give(std::byte* pages, size_t) {
  const cuda::Gpu::Current current(launcher_.gpu());
  // Of a lost GPU it is gone anyway.
  launcher_.gpu().driver().free(reinterpret_cast<uintptr_t>(pages));
}

void GpuMemory::copy(std::byte* to, const std::byte* from, size_t bytes) {
  const cuda::Gpu::Current current(launcher_.gpu());
  launcher_.stream().copy(to, from, bytes);
}

void GpuMemory::write(std::byte* to, const void* from, size_t bytes) {
  const cuda::Gpu::Current current(launcher_.gpu());
  launcher_.stream().send(to, from, bytes);
}

void GpuMemory::recode(Geometry geometry, int32_t first, const Copy& from, const Copy& to) {
  const cuda::Gpu::Current current(launcher_.gpu());
  cuda::RecodeJobs jobs;
  jobs.add(geometry.kv_heads, geometry.head_dim, first, from, to);
  if (jobs.scratch_bytes() > 0)
    jobs.place_scratch(scratch_->reserve(jobs.scratch_bytes(), launcher_.stream()));
  upload_->start(cuda::Upload::room_for<cuda::RestoreJob>(jobs.restores().size()) +
                 cuda::Upload::room_for<cuda::CodeJob>(jobs.codes().size()));
  const auto* restores = upload_->put(std::span(jobs.restores()));
  const auto* codes = upload_->put(std::span(jobs.codes()));
  upload_->send(launcher_.stream());
  launcher_.recode({restores, jobs.restores().size()}, {codes, jobs.codes().size()},
                   geometry.head_dim);
}

void GpuMemory::bring(Geometry geometry, const Copy& copy, std::byte* slot) {
  std::vector<std::byte> bytes(copy.data, copy.data + slot_bytes(geometry, copy));
  each_part(geometry, copy, bytes.data(), cuda::to_words);
  write(slot, bytes.data(), bytes.size());
}

Copy GpuMemory::local(Geometry geometry, const Copy& copy, std::vector<std::byte>& room) {
  if (copy.data == nullptr) return copy;
  const cuda::Gpu::Current current(launcher_.gpu());
  room.resize(slot_bytes(geometry, copy));
  launcher_.stream().fetch(room.data(), copy.data, room.size());
  launcher_.stream().synchronize();
  each_part(geometry, copy, room.data(), cuda::from_words);
  return moved_to(geometry, copy, room.data());
}

}  // namespace sightline::cache
