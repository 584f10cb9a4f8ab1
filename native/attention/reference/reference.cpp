#include "attention/reference/reference.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "attention/half.h"

namespace sightline::attention {
namespace {

const std::byte* part(const Block& block, bool coded, int kv_head, int head_dim) {
  const Format format = coded ? Format::int8 : Format::fp16;
  const std::byte* data = coded ? block.int8 : block.fp16;
  return data + part_bytes(format, head_dim, block.capacity) * static_cast<size_t>(kv_head);
}

double half_of(const std::byte* data, size_t index) {
  return half_to_float(reinterpret_cast<const uint16_t*>(data)[index]);
}

double byte_of(const std::byte* data, size_t index, bool is_signed) {
  return is_signed ? reinterpret_cast<const int8_t*>(data)[index]
                   : reinterpret_cast<const uint8_t*>(data)[index];
}

}  // namespace

double key_at(const Block& block, bool coded, int kv_head, int head_dim, int token, int channel) {
  const std::byte* data = part(block, coded, kv_head, head_dim);
  const size_t c = static_cast<size_t>(channel);
  const size_t index = c * static_cast<size_t>(block.capacity) + static_cast<size_t>(token);
  if (!coded) return half_of(data + Fp16Layout(head_dim, block.capacity).k, index);
  const Int8Layout layout(head_dim, block.capacity);
  return half_of(data + layout.k_zero, c) +
         half_of(data + layout.k_scale, c) * byte_of(data + layout.k, index, false);
}

double value_at(const Block& block, bool coded, int kv_head, int head_dim, int token, int channel) {
  const std::byte* data = part(block, coded, kv_head, head_dim);
  const size_t t = static_cast<size_t>(token);
  const size_t index = t * static_cast<size_t>(head_dim) + static_cast<size_t>(channel);
  if (!coded) return half_of(data + Fp16Layout(head_dim, block.capacity).v, index);
  const Int8Layout layout(head_dim, block.capacity);
  return half_of(data + layout.v_scale, t) * byte_of(data + layout.v, index, true);
}

void attend_reference(const Problem& problem) {
  const Shape& shape = problem.shape;
  std::vector<double> logits;
  std::vector<double> sum(static_cast<size_t>(shape.head_dim));
  for (int i = 0; i < shape.tokens; i++) {
    for (int h = 0; h < shape.heads; h++) {
      const float* q = problem.q.row(i, h);
      const int kv_head = h / shape.group();
      const double slope = problem.slopes != nullptr ? problem.slopes[h] : 1.0;
      const auto each_visible = [&](auto&& visit) {
        for (const Block& block : problem.blocks) {
          const int tokens = std::min(block.tokens, problem.visible[i] - block.first);
          for (int t = 0; t < tokens; t++) visit(block, block.coded_for(problem.visible[i]), t);
        }
      };

      logits.clear();
      double largest = -std::numeric_limits<double>::infinity();
      each_visible([&](const Block& block, bool coded, int t) {
        double dot = 0;
        for (int c = 0; c < shape.head_dim; c++)
          dot += q[c] * key_at(block, coded, kv_head, shape.head_dim, t, c);
        double logit = dot * problem.scale;
        if (problem.softcap != 0) logit = problem.softcap * std::tanh(logit / problem.softcap);
        if (problem.mask != nullptr)
          logit += slope * half_to_float(problem.mask[i * problem.mask_stride + block.first + t]);
        logits.push_back(logit);
        largest = std::max(largest, logit);
      });
      if (problem.sinks != nullptr) largest = std::max<double>(largest, problem.sinks[h]);

      double total = problem.sinks != nullptr ? std::exp(problem.sinks[h] - largest) : 0.0;
      std::fill(sum.begin(), sum.end(), 0.0);
      size_t next = 0;
      each_visible([&](const Block& block, bool coded, int t) {
        const double logit = logits[next++];
        if (logit == -std::numeric_limits<double>::infinity()) return;
        const double weight = std::exp(logit - largest);
        total += weight;
        for (int c = 0; c < shape.head_dim; c++)
          sum[static_cast<size_t>(c)] +=
              weight * value_at(block, coded, kv_head, shape.head_dim, t, c);
      });
      for (int c = 0; c < shape.head_dim; c++)
        problem.out.row(i, h)[c] =
            total > 0 ? static_cast<float>(sum[static_cast<size_t>(c)] / total) : 0.0f;
    }
  }
}

}  // namespace sightline::attention
