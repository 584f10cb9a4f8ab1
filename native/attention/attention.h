#pragma once
// The contract of every attention kernel: queries against a list of blocks.
//
//   out[i][h] = sum over t of softmax(logit(i, h, t)) v[t][h / group], t < visible[i]
//   logit     = cap(scale * <q[i][h], k[t][h / group]>) + slope[h] * mask[i][t]
//   cap(x)    = softcap == 0 ? x : softcap * tanh(x / softcap)
//   sinks     add exp(sink[h]) to the softmax's denominator where the model has them
//
// over the tokens that the blocks still hold.

#include <cstdint>
#include <span>

#include "attention/block.h"

namespace sightline::attention {

struct Shape {
  int tokens;    // queries
  int heads;     // query heads, a multiple of kv_heads
  int kv_heads;  //
  int head_dim;  // a multiple of 16
  int group() const { return heads / kv_heads; }
};

/// A float tensor [tokens, heads, head_dim], head_dim contiguous; strides in floats.
template <typename T>
struct Heads {
  T* data;
  int64_t token_stride;
  int64_t head_stride;
  T* row(int token, int head) const { return data + token * token_stride + head * head_stride; }
};

/// Where to add up the attention that tokens receive: the softmax weights of all queries and of all
/// heads of a KV head's group. Only asked for by policies that need it.
struct Received {
  int32_t first = 0;      // position of the first token that counts
  int32_t count = 0;      // tokens from there on; they are held in FP16
  int64_t stride = 0;     // of a KV head
  float* mass = nullptr;  // [kv_heads][stride]; null: not asked for
};

struct Problem {
  Shape shape;
  Heads<const float> q;
  Heads<float> out;
  float scale;
  float softcap;           // 0: none
  const float* sinks;      // [heads], or null
  const float* slopes;     // [heads], or null: 1 (ALiBi)
  const int32_t* visible;  // [tokens]: query i sees positions below visible[i]
  const uint16_t* mask;  // half [tokens][mask_stride] added to the logits, or null: nothing to add
  int64_t mask_stride;
  std::span<const Block> blocks;  // in order, without gaps, from position 0
  Received received = {};
};

}  // namespace sightline::attention
