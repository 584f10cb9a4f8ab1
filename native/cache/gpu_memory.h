#pragma once
// Slots in the memory of a GPU, in the layouts of its kernels (attention/cuda/kernels/panels.h).

#include "attention/cuda/launcher.h"
#include "attention/cuda/upload.h"
#include "cache/memory.h"

namespace sightline::cache {

/// Everything goes through the launcher's stream. Throws DriverError but where memory is lacking,
/// which `take` tells.
class GpuMemory final : public Memory {
 public:
  /// `launcher` outlives it.
  explicit GpuMemory(attention::cuda::Launcher& launcher);
  ~GpuMemory() override;

  size_t rounded_up(size_t bytes) const override;
  std::byte* take(size_t bytes) override;
  void give(std::byte* pages, size_t bytes) override;
  void copy(std::byte* to, const std::byte* from, size_t bytes) override;
  void write(std::byte* to, const void* from, size_t bytes) override;
  /// Not of lowrank keys.
  void recode(Geometry geometry, int32_t first, const attention::Copy& from,
              const attention::Copy& to) override;
  void bring(Geometry geometry, const attention::Copy& copy, std::byte* slot) override;
  attention::Copy local(Geometry geometry, const attention::Copy& copy,
                        std::vector<std::byte>& room) override;

 private:
  attention::cuda::Launcher& launcher_;
  // Optional: they go away with the GPU current.
  std::optional<attention::cuda::Upload> upload_;
  std::optional<attention::cuda::Scratch> scratch_;
};

}  // namespace sightline::cache
