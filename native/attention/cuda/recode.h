#pragma once
// The kernels' jobs that bring copies of blocks into other forms.

#include <cstdint>
#include <vector>

#include "attention/cuda/kernels/code.h"
#include "attention/cuda/kernels/restore.h"

namespace sightline::attention::cuda {

/// All restoring comes before all coding. Where a copy is neither, it is restored to halves on the
/// way, for which the jobs take scratch memory.
class RecodeJobs {
 public:
  /// Not of lowrank keys. `first` is the position of the block's first token; both copies are in
  /// GPU memory.
  void add(int kv_heads, int head_dim, int32_t first, const Copy& from, const Copy& to);

  size_t scratch_bytes() const { return scratch_bytes_; }
  /// Says where the scratch memory is. To be called once, at the end.
  void place_scratch(std::byte* scratch);

  const std::vector<RestoreJob>& restores() const { return restores_; }
  const std::vector<CodeJob>& codes() const { return codes_; }

 private:
  std::vector<RestoreJob> restores_;
  std::vector<CodeJob> codes_;
  struct Between {  // a restored side that is then coded
    size_t restore, code;
    size_t offset;
  };
  std::vector<Between> between_;
  size_t scratch_bytes_ = 0;
};

}  // namespace sightline::attention::cuda
