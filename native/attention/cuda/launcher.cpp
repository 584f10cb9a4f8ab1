#include "attention/cuda/launcher.h"

#include <algorithm>

namespace sightline::attention::cuda {
namespace {

constexpr size_t kLeastScratch = size_t{1} << 20;

}  // namespace

Launcher::Launcher(const GpuChoice& choice) : gpu_(*choice.driver, choice.ordinal) {
  const Gpu::Current current(gpu_);
  stream_.emplace(gpu_);
  kernels_.emplace(gpu_, choice.images);
}

Launcher::~Launcher() {
  const Gpu::Current current(gpu_);
  kernels_.reset();
  stream_.reset();
}

void Launcher::append(const AppendArguments& arguments, int kv_heads, size_t segments, int sides) {
  kernels_->launch("append_rows",
                   {.grid_x = static_cast<unsigned>(kv_heads),
                    .grid_y = static_cast<unsigned>(segments),
                    .grid_z = static_cast<unsigned>(sides),
                    .threads = kAppendThreads},
                   arguments, *stream_);
}

template <typename Arguments>
void Launcher::launch_slices(const char* name, size_t jobs, int head_dim,
                             const Arguments& arguments) {
  if (jobs == 0) return;
  kernels_->launch(name,
                   {.grid_x = kSlices,
                    .grid_y = static_cast<unsigned>(jobs),
                    .threads = kSliceThreads,
                    .shared_bytes = slice_shared_bytes(head_dim)},
                   arguments, *stream_);
}

void Launcher::recode(std::span<const RestoreJob> restores, std::span<const CodeJob> codes,
                      int head_dim) {
  launch_slices("restore_blocks", restores.size(), head_dim, RestoreArguments{restores.data()});
  launch_slices("code_blocks", codes.size(), head_dim, CodeArguments{codes.data()});
}

void Launcher::attend(const Plan& plan, const AttendArguments& arguments) {
  kernels_->launch(plan.kernel.name, plan.launch_size(), arguments, *stream_);
}

void Launcher::observe(const ObserveArguments& arguments, size_t blocks) {
  kernels_->launch("observe_blocks",
                   {.grid_x = static_cast<unsigned>(blocks),
                    .grid_y = static_cast<unsigned>(arguments.attend.kv_heads),
                    .threads = kObserveThreads,
                    .shared_bytes = observe_shared_bytes(arguments.head_dim)},
                   arguments, *stream_);
}

std::byte* Scratch::reserve(size_t bytes, Stream& stream) {
  if (!memory_ || memory_->bytes() < bytes) {
    memory_.reset();  // waits for who still uses it
    memory_.emplace(gpu_, std::max(bytes + bytes / 2, kLeastScratch));
    stream.clear(memory_->data(), memory_->bytes());
  }
  return memory_->data();
}

}  // namespace sightline::attention::cuda
