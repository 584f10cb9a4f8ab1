// The attention kernel over any instruction set. Included by the file of each one, inside its
// target region and an anonymous namespace, with `V` naming its vector of floats:
//
//   V::kWidth lanes (divides 16)
//   load(const float* | const Half* | const E4m3*)  store(float*)  broadcast(float)  zero()
//   fma(a, b, c) = a * b + c  mul(a, b)  add(a, b)  max(a, b)  magnitude(a)  round(a)
//   pow2(a) = 2^a for integral a in [-126, 0]  sum(a)  largest(a)
//   V::kRows rows of a float product's register tile
//
// and for integer products, on kWidth sums of 32 bits and 4 * kWidth bytes:
//
//   Sums no_sums()  Bytes load_bytes(const uint8_t*)
//   field<bits, shift>(bytes): in every byte the field of that width
//   dot4(sums, codes, digits): adds code * digit of four neighbours, the digits being the same four
//     for all lanes; a code counts as code - kDotBias
//   combine(high, low, offset) = 128 * high + low + offset, as floats
//   store_digits(numbers, high, low)
//   V::kIntegerRows rows of an integer product's register tile

struct Half {
  uint16_t bits;
};

/// Loads as 2^-8 of its value: e4m3.h.
struct E4m3 {
  uint8_t bits;
};

inline int least(int a, int b) { return a < b ? a : b; }
inline int most(int a, int b) { return a > b ? a : b; }
inline int rounded_up(int value, int step) { return (value + step - 1) / step * step; }

template <typename T>
inline const T* at(const std::byte* part, size_t offset) {
  return reinterpret_cast<const T*>(part + offset);
}

#include "attention/cpu/product.inl"

/// exp(x) for x <= 0; below -87 the result is flushed to that of -87 (1.6e-38).
/// Relative error < 2e-7: 2^n * e^f with |f| <= ln 2 / 2, e^f by a degree-6 Taylor polynomial.
inline V exp_nonpositive(V x) {
  x = V::max(x, V::broadcast(-87.0f));
  const V n = V::round(V::mul(x, V::broadcast(1.44269504f)));
  V f = V::fma(n, V::broadcast(-0.693145752f), x);  // ln 2 in two parts keeps f exact
  f = V::fma(n, V::broadcast(-1.42860677e-6f), f);
  V p = V::broadcast(1.0f / 720);
  p = V::fma(p, f, V::broadcast(1.0f / 120));
  p = V::fma(p, f, V::broadcast(1.0f / 24));
  p = V::fma(p, f, V::broadcast(1.0f / 6));
  p = V::fma(p, f, V::broadcast(0.5f));
  p = V::fma(p, f, V::broadcast(1.0f));
  p = V::fma(p, f, V::broadcast(1.0f));
  return V::mul(p, V::pow2(n));
}

/// out = x * factor, element by element; returns the largest magnitude of the result.
template <typename T>
inline float scaled(const float* x, const T* factor, int count, float* out) {
  V largest = V::zero();
  for (int i = 0; i < count; i += V::kWidth) {
    const V product = V::mul(V::load(x + i), V::load(factor + i));
    product.store(out + i);
    largest = V::max(largest, V::magnitude(product));
  }
  return V::largest(largest);
}

template <typename T>
inline float dot(const float* x, const T* y, int count) {
  V sum = V::zero();
  for (int i = 0; i < count; i += V::kWidth) sum = V::fma(V::load(x + i), V::load(y + i), sum);
  return V::sum(sum);
}

/// A tile's rows on their way through the blocks.
struct Rows {
  int count;
  int head_dim;
  const float* queries;  // [count][head_dim], scaled
  float* temporary;      // [count][head_dim]
  float* logits;         // [count][kBlockTokens], then weights
  DigitRows numbers;

  const float* query(int r) const { return queries + area(r, head_dim); }
  float* temporary_row(int r) const { return temporary + area(r, head_dim); }
  float* logits_row(int r) const { return logits + area(r, kBlockTokens); }
};

/// Keys whose grids belong to the channels: the scales fold into the queries, the zero points give
/// one number a row.
template <typename C>
inline void channel_logits(const Rows& rows, const std::byte* k, size_t scale, size_t zero,
                           int capacity, int columns) {
  for (int r = 0; r < rows.count; r++) {
    float* folded = rows.temporary;
    const float largest = scaled(rows.query(r), at<Half>(k, scale), rows.head_dim, folded);
    set_digits(rows.numbers, r, folded, rows.head_dim, largest);
    rows.numbers.bias[r] = dot(rows.query(r), at<Half>(k, zero), rows.head_dim);
  }
  integer_product<C, false>(rows.count, rows.numbers, at<uint8_t>(k, 0), area(capacity, 4),
                            rows.head_dim, rows.logits, kBlockTokens, columns);
}

/// logits = queries * keys, for the first `columns` tokens.
inline void multiply_keys(const Rows& rows, const Copy& copy, const std::byte* k, int columns) {
  const Extent extent = copy.extent(rows.head_dim);
  const size_t head_dim = static_cast<size_t>(rows.head_dim);
  const size_t capacity = static_cast<size_t>(copy.capacity);
  switch (copy.tier.k) {
    case Format::fp16:
      float_product<Half, false>(rows.count, rows.queries, head_dim, at<Half>(k, 0), capacity,
                                 rows.head_dim, rows.logits, kBlockTokens, columns);
      return;
    case Format::fp8: {
      const float scale = 0x1p8f * half_to_float(*at<uint16_t>(k, Fp8Layout(extent).scale));
      for (int r = 0; r < rows.count; r++)
        for (int c = 0; c < rows.head_dim; c += V::kWidth)
          V::mul(V::load(rows.query(r) + c), V::broadcast(scale)).store(rows.temporary_row(r) + c);
      float_product<E4m3, false>(rows.count, rows.temporary, head_dim, at<E4m3>(k, 0), capacity,
                                 rows.head_dim, rows.logits, kBlockTokens, columns);
      return;
    }
    case Format::int8: {
      const Int8Keys layout(extent);
      channel_logits<Codes<1, 0>>(rows, k, layout.scale, layout.zero, copy.capacity, columns);
      return;
    }
    case Format::int4: {
      const Int4Keys layout(extent);
      channel_logits<Codes<2, 0>>(rows, k, layout.scale, layout.zero, copy.capacity, columns);
      return;
    }
    case Format::lowrank: {
      const Half* basis = at<Half>(k, LowrankKeys(extent).basis);
      for (int r = 0; r < rows.count; r++)
        for (int i = 0; i < copy.rank; i++)
          rows.temporary_row(r)[i] =
              dot(rows.query(r), basis + area(i, rows.head_dim), rows.head_dim);
      float_product<Half, false>(rows.count, rows.temporary, head_dim, at<Half>(k, 0), capacity,
                                 copy.rank, rows.logits, kBlockTokens, columns);
      return;
    }
    case Format::int2:
      return;  // no format of keys
  }
}

/// Values whose grids belong to tokens and groups of channels.
template <typename C>
inline void grouped_values(const Rows& rows, const std::byte* v, const GroupedValues& layout,
                           int capacity, int tokens, float* o) {
  const int padded = rounded_up(tokens, kTokenGranule);
  for (int g = 0; g < layout.groups; g++) {
    const size_t grid = area(g, capacity);
    for (int r = 0; r < rows.count; r++) {
      const float* weights = rows.logits_row(r);
      float* folded = rows.temporary;
      const float largest = scaled(weights, at<Half>(v, layout.scale) + grid, padded, folded);
      set_digits(rows.numbers, r, folded, padded, largest);
      rows.numbers.bias[r] = dot(weights, at<Half>(v, layout.zero) + grid, padded);
    }
    const int first = g * layout.group;
    integer_product<C, true>(rows.count, rows.numbers, at<uint8_t>(v, 0) + 4 * first,
                             area(rows.head_dim, 4), padded, o + first,
                             static_cast<size_t>(rows.head_dim), layout.group);
  }
}

/// o += weights * values, over the first `tokens` tokens.
inline void multiply_values(const Rows& rows, const Copy& copy, const std::byte* v, int tokens,
                            float* o) {
  const Extent extent = copy.extent(rows.head_dim);
  const size_t head_dim = static_cast<size_t>(rows.head_dim);
  switch (copy.tier.v) {
    case Format::fp16:
      float_product<Half, true>(rows.count, rows.logits, kBlockTokens, at<Half>(v, 0), head_dim,
                                tokens, o, head_dim, rows.head_dim);
      return;
    case Format::fp8: {
      const float scale = 0x1p8f * half_to_float(*at<uint16_t>(v, Fp8Layout(extent).scale));
      for (int r = 0; r < rows.count; r++)
        for (int t = 0; t < tokens; t += V::kWidth)
          V::mul(V::load(rows.logits_row(r) + t), V::broadcast(scale))
              .store(rows.logits_row(r) + t);
      float_product<E4m3, true>(rows.count, rows.logits, kBlockTokens, at<E4m3>(v, 0), head_dim,
                                tokens, o, head_dim, rows.head_dim);
      return;
    }
    case Format::int8: {
      const Int8Values layout(extent);
      const int padded = rounded_up(tokens, kTokenGranule);
      for (int r = 0; r < rows.count; r++) {
        float* folded = rows.temporary;
        const float largest = scaled(rows.logits_row(r), at<Half>(v, layout.scale), padded, folded);
        set_digits(rows.numbers, r, folded, padded, largest);
        rows.numbers.bias[r] = 0.0f;
      }
      integer_product<Codes<1, kInt8ValueBias>, true>(rows.count, rows.numbers, at<uint8_t>(v, 0),
                                                      area(rows.head_dim, 4), padded, o, head_dim,
                                                      rows.head_dim);
      return;
    }
    case Format::int4:
      grouped_values<Codes<2, 0>>(rows, v, int4_values(extent), copy.capacity, tokens, o);
      return;
    case Format::int2:
      grouped_values<Codes<4, 0>>(rows, v, int2_values(extent), copy.capacity, tokens, o);
      return;
    case Format::lowrank:
      return;  // no format of values
  }
}

/// What a row's logits get besides the product.
struct Additions {
  float softcap;
  float slope;
  const uint16_t* mask;      // of the row, by position; or null
  const int32_t* positions;  // of the tokens, or null: first, first + 1, ...
  int32_t first;

  uint16_t masked(int t) const { return mask[positions == nullptr ? first + t : positions[t]]; }
};

/// Turns the first `seen` logits of a row into exp(logit - m) and the rest, up to `padded`, into 0;
/// brings the row's state to the new maximum. `padded` is a multiple of 16.
inline void soften(float* logits, int seen, int padded, const Additions& additions, int head_dim,
                   float* m, float* l, float* o) {
  constexpr float kNone = -std::numeric_limits<float>::infinity();
  constexpr uint16_t kHidden = 0xfc00;  // -infinity
  for (int t = seen; t < padded; t++) logits[t] = kNone;

  if (additions.softcap != 0.0f) {
    for (int t = 0; t < seen; t++)
      logits[t] = additions.softcap * std::tanh(logits[t] / additions.softcap);
  }
  if (additions.mask != nullptr) {
    for (int t = 0; t < seen; t++)
      logits[t] += additions.slope * half_to_float(additions.masked(t));
  }

  V largest = V::broadcast(kNone);
  for (int t = 0; t < padded; t += V::kWidth) largest = V::max(largest, V::load(logits + t));
  const float block_m = V::largest(largest);
  const float new_m = block_m > *m ? block_m : *m;
  if (new_m == kNone) {
    for (int t = 0; t < padded; t++) logits[t] = 0.0f;
    return;
  }

  const V shift = V::broadcast(-new_m);
  V total = V::zero();
  if (seen == padded && additions.mask == nullptr) {
    for (int t = 0; t < padded; t += V::kWidth) {
      const V weight = exp_nonpositive(V::add(V::load(logits + t), shift));
      weight.store(logits + t);
      total = V::add(total, weight);
    }
  } else {
    for (int t = 0; t < padded; t += V::kWidth)
      exp_nonpositive(V::add(V::load(logits + t), shift)).store(logits + t);
    // A hidden token weighs nothing, not exp(-87).
    for (int t = seen; t < padded; t++) logits[t] = 0.0f;
    if (additions.mask != nullptr) {
      for (int t = 0; t < seen; t++)
        if (additions.masked(t) == kHidden) logits[t] = 0.0f;
    }
    for (int t = 0; t < padded; t += V::kWidth) total = V::add(total, V::load(logits + t));
  }

  if (new_m != *m) {
    const float rescale = std::exp(*m - new_m);  // exp(-infinity) = 0: the empty state
    *l *= rescale;
    for (int c = 0; c < head_dim; c += V::kWidth)
      V::mul(V::load(o + c), V::broadcast(rescale)).store(o + c);
    *m = new_m;
  }
  *l += V::sum(total);
}

/// Cuts the scratch memory of a tile up; scratch_floats gives its size.
inline Rows rows_in(float* scratch, int count, int head_dim, float*& queries) {
  const size_t rows = static_cast<size_t>(rounded_up(count, 16));
  const auto take = [&](size_t floats) {
    float* piece = scratch;
    scratch += floats;
    return piece;
  };
  const size_t widest = static_cast<size_t>(most(head_dim, kBlockTokens));
  queries = take(rows * static_cast<size_t>(head_dim));
  Rows whole{count, head_dim, queries, take(rows * widest), take(rows * kBlockTokens), {}};
  whole.numbers.scale = take(rows);
  whole.numbers.bias = take(rows);
  whole.numbers.total = reinterpret_cast<int32_t*>(take(rows));
  whole.numbers.stride = widest;
  whole.numbers.digits = reinterpret_cast<int8_t*>(take(rows * widest / 2));
  return whole;
}

void attend(const Problem& problem, int kv_head, Tile tile, std::span<const Block> blocks,
            float* scratch, const State& state) {
  const Shape& shape = problem.shape;
  const int group = shape.group();
  float* queries;
  const Rows rows = rows_in(scratch, tile.count * group, shape.head_dim, queries);

  for (int r = 0; r < rows.count; r++) {
    const float* q = problem.q.row(tile.first + r / group, kv_head * group + r % group);
    float* scaled_query = queries + area(r, shape.head_dim);
    for (int c = 0; c < shape.head_dim; c++) scaled_query[c] = q[c] * problem.scale;
    state.m[r] = -std::numeric_limits<float>::infinity();
    state.l[r] = 0.0f;
  }
  for (size_t i = 0; i < area(rows.count, shape.head_dim); i++) state.o[i] = 0.0f;

  for (const Block& block : blocks) {
    const Copy& copy = block.copy(problem.visible[tile.first]);
    // Where tokens were dropped the block is behind every query that reads the copy.
    const auto seen_by = [&](int i) {
      const int seen = copy.positions != nullptr ? copy.tokens : problem.visible[i] - block.first;
      return most(0, least(copy.tokens, seen));
    };
    int tokens = 0;
    for (int i = tile.first; i < tile.first + tile.count; i++) tokens = most(tokens, seen_by(i));
    if (tokens == 0) continue;
    const int padded = rounded_up(tokens, kTokenGranule);

    const Extent extent = copy.extent(shape.head_dim);
    const std::byte* part =
        copy.data + part_bytes(copy.tier, extent) * static_cast<size_t>(kv_head);
    multiply_keys(rows, copy, part, padded);
    for (int r = 0; r < rows.count; r++) {
      const int i = tile.first + r / group;
      const int head = kv_head * group + r % group;
      const Additions additions{
          problem.softcap, problem.slopes != nullptr ? problem.slopes[head] : 1.0f,
          problem.mask != nullptr ? problem.mask + i * problem.mask_stride : nullptr,
          copy.positions != nullptr ? copy.positions + kv_head * copy.capacity : nullptr,
          block.first};
      soften(rows.logits_row(r), seen_by(i), padded, additions, shape.head_dim, state.m + r,
             state.l + r, state.o + area(r, shape.head_dim));
    }
    multiply_values(rows, copy, part + values_offset(copy.tier, extent), tokens, state.o);
  }
}
