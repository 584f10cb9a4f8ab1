#pragma once
// What llama.cpp does with a device, in small: cache tensors of two layers, and graphs that append
// to them and attend. On a device of ours and on the plain CPU, so that the two can be compared.

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "attention/half.h"
#include "device/device.h"
#include "ggml-alloc.h"
#include "ggml-backend.h"
#include "ggml.h"

namespace sightline::test {

inline ggml_backend_dev_t cpu_device() {
  ggml_backend_dev_t cpu = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
  if (cpu == nullptr) ggml_backend_load_all_from_path(SIGHTLINE_TEST_LIBRARIES);
  cpu = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
  REQUIRE(cpu != nullptr);
  return cpu;
}

inline cache::Policy policy(cache::PolicyKind kind) {
  cache::Policy policy;
  policy.kind = kind;
  if (kind == cache::PolicyKind::full) policy.sink = 0;
  if (kind != cache::PolicyKind::full) policy.window = 64;
  policy.span = 256;
  return policy;
}

inline const cache::Policy kFull = policy(cache::PolicyKind::full);
inline const cache::Policy kSelective = policy(cache::PolicyKind::selective);
inline const cache::Policy kCompressed = policy(cache::PolicyKind::compressed);

struct TestDevice : device::Device {
  explicit TestDevice(const cache::Policy& policy = kFull, bool gives_up = true, size_t budget = 0)
      : Device(cpu_device()) {
    own_cache({policy, budget, device::kAnyCapacity, gives_up});
  }
};

struct Free {
  void operator()(ggml_context* context) const { ggml_free(context); }
  void operator()(ggml_backend_buffer_t buffer) const { ggml_backend_buffer_free(buffer); }
  void operator()(ggml_backend_t backend) const { ggml_backend_free(backend); }
};
using ContextPointer = std::unique_ptr<ggml_context, Free>;
using BufferPointer = std::unique_ptr<ggml_backend_buffer, Free>;
using BackendPointer = std::unique_ptr<ggml_backend, Free>;

inline ContextPointer make_context() {
  return ContextPointer(
      ggml_init({ggml_tensor_overhead() * 256 + ggml_graph_overhead(), nullptr, true}));
}

/// Element (row, channel) of what a layer stores; any value will do.
inline float element(int layer, bool keys, int64_t row, int64_t channel) {
  const int64_t mixed = row * 37 + channel * 11 + layer * 5 + (keys ? 3 : 0);
  return static_cast<float>(mixed % 101) / 50.0f - 1.0f;
}

/// Whether query `i` of a step sees row `j`.
using Sees = std::function<bool(int64_t i, int64_t j)>;

/// The largest of two lists of finite numbers.
inline double difference(const std::vector<float>& a, const std::vector<float>& b) {
  REQUIRE(a.size() == b.size());
  double largest = 0;
  for (size_t i = 0; i < a.size(); i++) {
    REQUIRE(std::isfinite(a[i]));
    largest = std::max<double>(largest, std::fabs(a[i] - b[i]));
  }
  return largest;
}

template <typename T>
void set(ggml_tensor* tensor, const std::vector<T>& elements) {
  REQUIRE(ggml_nbytes(tensor) == elements.size() * sizeof(T));
  ggml_backend_tensor_set(tensor, elements.data(), 0, ggml_nbytes(tensor));
}

class Host {
 public:
  static constexpr int kLayers = 2, kKvHeads = 2, kHeads = 4, kHeadDim = 64, kRows = 1024;
  static constexpr int kWidth = kKvHeads * kHeadDim;

  explicit Host(ggml_backend_dev_t device, ggml_type value_type = GGML_TYPE_F16,
                const char* prefix = "", int64_t rows = kRows)
      : device_(device), backend_(ggml_backend_dev_init(device, nullptr)) {
    REQUIRE(backend_ != nullptr);
    add_cache(rows, value_type, prefix);
  }

  /// A further cache of the same context, as models with sliding windows have.
  ggml_backend_buffer_t add_cache(int64_t rows, ggml_type value_type = GGML_TYPE_F16,
                                  const char* prefix = "") {
    contexts_.push_back(make_context());
    ggml_context* context = contexts_.back().get();
    for (int layer = 0; layer < kLayers; layer++) {
      for (const bool keys : {true, false}) {
        ggml_tensor* tensor =
            ggml_new_tensor_3d(context, keys ? GGML_TYPE_F16 : value_type, kWidth, rows, 1);
        ggml_format_name(tensor, "cache_%s%s_l%d", prefix, keys ? "k" : "v", layer);
        if (contexts_.size() == 1) (keys ? keys_ : values_).push_back(tensor);
      }
    }
    buffers_.emplace_back(
        ggml_backend_alloc_ctx_tensors_from_buft(context, ggml_backend_dev_buffer_type(device_)));
    REQUIRE(buffers_.back() != nullptr);
    ggml_backend_buffer_clear(buffers_.back().get(), 0);
    return buffers_.back().get();
  }

  ggml_backend_buffer_t buffer() const { return buffers_.front().get(); }
  ggml_tensor* keys(int layer) const { return keys_[static_cast<size_t>(layer)]; }
  ggml_tensor* values(int layer) const { return values_[static_cast<size_t>(layer)]; }

  /// Builds a graph in the device's memory, lets `fill` set its inputs, runs it and lets `read`
  /// look at what came out.
  ggml_status run(const std::function<void(ggml_context*, ggml_cgraph*)>& build,
                  const std::function<void()>& fill, const std::function<void()>& read) {
    const ContextPointer context = make_context();
    ggml_cgraph* graph = ggml_new_graph(context.get());
    build(context.get(), graph);
    const BufferPointer memory(ggml_backend_alloc_ctx_tensors_from_buft(
        context.get(), ggml_backend_dev_buffer_type(device_)));
    for (int i = 0; i < ggml_graph_n_nodes(graph); i++)
      ggml_backend_dev_supports_op(device_, ggml_graph_node(graph, i));
    fill();
    if (around_compute) around_compute(true);
    const ggml_status status = ggml_backend_graph_compute_async(backend_.get(), graph);
    if (around_compute) around_compute(false);
    ggml_backend_synchronize(backend_.get());
    read();
    return status;
  }

  /// Writes `rows` in each layer and attends from them to what `sees` says, among rows below `end`.
  ggml_status step(const std::vector<int64_t>& rows, int64_t end, const Sees& sees) {
    const auto count = static_cast<int64_t>(rows.size());
    ggml_tensor *numbers = nullptr, *mask = nullptr, *queries = nullptr;
    std::vector<ggml_tensor*> sources, outputs;
    const auto build = [&](ggml_context* context, ggml_cgraph* graph) {
      numbers = ggml_new_tensor_1d(context, GGML_TYPE_I64, count);
      mask = ggml_new_tensor_2d(context, GGML_TYPE_F16, end, count);
      queries = ggml_new_tensor_3d(context, GGML_TYPE_F32, kHeadDim, count, kHeads);
      for (int layer = 0; layer < kLayers; layer++) {
        for (ggml_tensor* whole : {keys(layer), values(layer)}) {
          // By an operation of the inner device, as a model's are.
          sources.push_back(ggml_new_tensor_2d(context, GGML_TYPE_F32, kWidth, count));
          ggml_tensor* computed = ggml_scale(context, sources.back(), 1.0f);
          ggml_build_forward_expand(graph, ggml_set_rows(context, whole, computed, numbers));
        }
        const auto view = [&](ggml_tensor* whole) {
          const size_t head_bytes = ggml_row_size(whole->type, kHeadDim);
          ggml_tensor* heads = ggml_view_4d(context, whole, kHeadDim, kKvHeads, end, 1, head_bytes,
                                            whole->nb[1], whole->nb[2], 0);
          return ggml_permute(context, heads, 0, 2, 1, 3);
        };
        outputs.push_back(ggml_flash_attn_ext(context, queries, view(keys(layer)),
                                              view(values(layer)), mask, 0.125f, 0, 0));
        ggml_build_forward_expand(graph, outputs.back());
      }
    };
    const auto fill = [&] {
      set(numbers, rows);
      std::vector<uint16_t> bits;
      for (int64_t i = 0; i < count; i++)
        for (int64_t j = 0; j < end; j++) bits.push_back(sees(i, j) ? 0 : 0xfc00);
      set(mask, bits);
      std::vector<float> q(static_cast<size_t>(ggml_nelements(queries)));
      for (size_t i = 0; i < q.size(); i++) q[i] = std::sin(static_cast<float>(i % 977));
      set(queries, q);
      for (size_t s = 0; s < sources.size(); s++) {
        std::vector<float> source;
        for (const int64_t row : rows)
          for (int64_t c = 0; c < kWidth; c++)
            source.push_back(element(static_cast<int>(s / 2), s % 2 == 0, row, c));
        set(sources[s], source);
      }
    };
    out.clear();
    return run(build, fill, [&] {
      for (const ggml_tensor* output : outputs) {
        std::vector<float> data(static_cast<size_t>(ggml_nelements(output)));
        ggml_backend_tensor_get(output, data.data(), 0, ggml_nbytes(output));
        out.insert(out.end(), data.begin(), data.end());
      }
    });
  }

  /// Rows [first, first + count) after all others before them: one sequence.
  ggml_status append(int64_t first, int64_t count) {
    std::vector<int64_t> rows(static_cast<size_t>(count));
    std::iota(rows.begin(), rows.end(), first);
    return step(rows, padded(first + count), [=](int64_t i, int64_t j) { return j <= first + i; });
  }

  static int64_t padded(int64_t rows) { return (rows + 255) / 256 * 256; }

  /// Called before and after a graph is given to the device.
  std::function<void(bool before)> around_compute;

  std::vector<float> out;  // of the last step, [layers][queries][heads][head_dim]

 private:
  ggml_backend_dev_t device_;
  BackendPointer backend_;
  std::vector<ContextPointer> contexts_;
  std::vector<BufferPointer> buffers_;
  std::vector<ggml_tensor*> keys_, values_;  // of the first cache
};

}  // namespace sightline::test
