// The attention kernel over any instruction set. Included by the file of each one, inside its
// target region and an anonymous namespace, with `V` naming its vector of floats:
//
//   V::kWidth lanes (divides 16)   V::kRows rows of the register tile
//   load(const float* | const Half* | const uint8_t* | const int8_t*)   store(float*)
//   broadcast(float)  zero()  fma(a, b, c) = a * b + c  mul(a, b)  add(a, b)  max(a, b)
//   round(a)  pow2(a) = 2^a for integral a in [-126, 0]  sum(a)  largest(a)

struct Half {
  uint16_t bits;
};

inline int least(int a, int b) { return a < b ? a : b; }
inline int most(int a, int b) { return a > b ? a : b; }

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

/// c[R][N * width] (+)= a[R][k] * b[k][N * width]; row strides lda, ldb, ldc in elements.
template <typename T, bool kAdd, int R, int N>
inline void multiply_tile(const float* a, size_t lda, const T* b, size_t ldb, int k, float* c,
                          size_t ldc) {
  V sum[R][N];
  for (int r = 0; r < R; r++)
    for (int n = 0; n < N; n++)
      sum[r][n] = kAdd ? V::load(c + static_cast<size_t>(r) * ldc + n * V::kWidth) : V::zero();
  for (int i = 0; i < k; i++, b += ldb) {
    V row[N];
    for (int n = 0; n < N; n++) row[n] = V::load(b + n * V::kWidth);
    for (int r = 0; r < R; r++) {
      const V scalar = V::broadcast(a[static_cast<size_t>(r) * lda + static_cast<size_t>(i)]);
      for (int n = 0; n < N; n++) sum[r][n] = V::fma(scalar, row[n], sum[r][n]);
    }
  }
  for (int r = 0; r < R; r++)
    for (int n = 0; n < N; n++) sum[r][n].store(c + static_cast<size_t>(r) * ldc + n * V::kWidth);
}

template <typename T, bool kAdd, int R>
inline void multiply_rows(const float* a, size_t lda, const T* b, size_t ldb, int k, float* c,
                          size_t ldc, int columns) {
  int n = 0;
  for (; n + 2 * V::kWidth <= columns; n += 2 * V::kWidth)
    multiply_tile<T, kAdd, R, 2>(a, lda, b + n, ldb, k, c + n, ldc);
  for (; n < columns; n += V::kWidth)
    multiply_tile<T, kAdd, R, 1>(a, lda, b + n, ldb, k, c + n, ldc);
}

/// Picks the register tile of `rows` rows, 1 <= rows <= R.
template <typename T, bool kAdd, int R>
inline void multiply_some(int rows, const float* a, size_t lda, const T* b, size_t ldb, int k,
                          float* c, size_t ldc, int columns) {
  if constexpr (R == 1) {
    multiply_rows<T, kAdd, 1>(a, lda, b, ldb, k, c, ldc, columns);
  } else if (rows == R) {
    multiply_rows<T, kAdd, R>(a, lda, b, ldb, k, c, ldc, columns);
  } else {
    multiply_some<T, kAdd, R - 1>(rows, a, lda, b, ldb, k, c, ldc, columns);
  }
}

/// c[rows][columns] (+)= a[rows][k] * b[k][columns]; columns a multiple of 16.
template <typename T, bool kAdd>
inline void multiply(int rows, const float* a, size_t lda, const T* b, size_t ldb, int k, float* c,
                     size_t ldc, int columns) {
  const int chunks = (rows + V::kRows - 1) / V::kRows;
  for (int chunk = 0; chunk < chunks; chunk++) {
    const int first = rows * chunk / chunks;
    const int count = rows * (chunk + 1) / chunks - first;
    const size_t at = static_cast<size_t>(first);
    multiply_some<T, kAdd, V::kRows>(count, a + at * lda, lda, b, ldb, k, c + at * ldc, ldc,
                                     columns);
  }
}

/// Folds the channels' scales into the queries and sums up what their zero points contribute.
inline void fold(const float* q, const Half* scale, const Half* zero, int rows, int head_dim,
                 float* folded, float* bias) {
  for (int r = 0; r < rows; r++, q += head_dim, folded += head_dim) {
    V sum = V::zero();
    for (int c = 0; c < head_dim; c += V::kWidth) {
      const V channel = V::load(q + c);
      V::mul(channel, V::load(scale + c)).store(folded + c);
      sum = V::fma(channel, V::load(zero + c), sum);
    }
    bias[r] = V::sum(sum);
  }
}

/// Turns the first `seen` logits of a row into exp(logit - m) and the rest, up to `tokens`, into 0;
/// brings the row's state to the new maximum. `add` is the row's mask or null.
inline void soften(float* logits, int seen, int tokens, float bias, const Problem& problem,
                   float slope, const uint16_t* add, float* m, float* l, float* o) {
  constexpr float kNone = -std::numeric_limits<float>::infinity();
  for (int t = seen; t < (seen + 15) / 16 * 16; t++) logits[t] = kNone;
  const int padded = (seen + 15) / 16 * 16;

  if (problem.softcap != 0.0f) {
    for (int t = 0; t < seen; t++)
      logits[t] = problem.softcap * std::tanh((logits[t] + bias) / problem.softcap);
    bias = 0.0f;
  }
  if (add != nullptr) {
    for (int t = 0; t < seen; t++) logits[t] += slope * half_to_float(add[t]);
  }

  V largest = V::broadcast(kNone);
  for (int t = 0; t < padded; t += V::kWidth) largest = V::max(largest, V::load(logits + t));
  const float block_m = V::largest(largest) + bias;
  const float new_m = block_m > *m ? block_m : *m;
  if (new_m == kNone) {
    for (int t = 0; t < tokens; t++) logits[t] = 0.0f;
    return;
  }

  V total = V::zero();
  const V shift = V::broadcast(bias - new_m);
  for (int t = 0; t < padded; t += V::kWidth) {
    const V weight = exp_nonpositive(V::add(V::load(logits + t), shift));
    weight.store(logits + t);
  }
  for (int t = seen; t < padded; t++) logits[t] = 0.0f;
  if (add != nullptr) {  // a masked position weighs nothing, not exp(-87)
    for (int t = 0; t < seen; t++)
      if (add[t] == 0xfc00u) logits[t] = 0.0f;
  }
  for (int t = 0; t < padded; t += V::kWidth) total = V::add(total, V::load(logits + t));
  for (int t = padded; t < tokens; t++) logits[t] = 0.0f;

  if (new_m != *m) {
    const float rescale = std::exp(*m - new_m);  // exp(-infinity) = 0: the empty state
    *l *= rescale;
    for (int c = 0; c < problem.shape.head_dim; c += V::kWidth)
      V::mul(V::load(o + c), V::broadcast(rescale)).store(o + c);
    *m = new_m;
  }
  *l += V::sum(total);
}

void attend(const Problem& problem, int kv_head, Tile tile, std::span<const Block> blocks,
            float* scratch, const State& state) {
  const Shape& shape = problem.shape;
  const int group = shape.group();
  const int rows = tile.count * group;
  const size_t head_dim = static_cast<size_t>(shape.head_dim);
  const size_t row_count = static_cast<size_t>(rows);
  float* const queries = scratch;
  float* const folded = queries + row_count * head_dim;
  float* const logits = folded + row_count * head_dim;
  float* const bias = logits + row_count * kBlockTokens;

  for (int r = 0; r < rows; r++) {
    const float* q = problem.q.row(tile.first + r / group, kv_head * group + r % group);
    float* scaled = queries + static_cast<size_t>(r) * head_dim;
    for (size_t c = 0; c < head_dim; c++) scaled[c] = q[c] * problem.scale;
    state.m[r] = -std::numeric_limits<float>::infinity();
    state.l[r] = 0.0f;
    bias[r] = 0.0f;
  }
  for (size_t i = 0; i < row_count * head_dim; i++) state.o[i] = 0.0f;

  for (const Block& block : blocks) {
    int tokens = 0;  // the most that a row of the tile sees of this block
    for (int i = tile.first; i < tile.first + tile.count; i++)
      tokens = most(tokens, least(block.tokens, problem.visible[i] - block.first));
    if (tokens == 0) continue;
    const int columns = (tokens + kTokenGranule - 1) / kTokenGranule * kTokenGranule;
    const size_t stride = static_cast<size_t>(block.capacity);

    const bool coded = block.coded_for(problem.visible[tile.first]);
    const Int8Layout int8(shape.head_dim, block.capacity);
    const Fp16Layout fp16(shape.head_dim, block.capacity);
    const std::byte* part = coded ? block.int8 + int8.bytes * static_cast<size_t>(kv_head)
                                  : block.fp16 + fp16.bytes * static_cast<size_t>(kv_head);
    if (coded) {
      fold(queries, reinterpret_cast<const Half*>(part + int8.k_scale),
           reinterpret_cast<const Half*>(part + int8.k_zero), rows, shape.head_dim, folded, bias);
      multiply<uint8_t, false>(rows, folded, head_dim,
                               reinterpret_cast<const uint8_t*>(part + int8.k), stride,
                               shape.head_dim, logits, kBlockTokens, columns);
    } else {
      multiply<Half, false>(rows, queries, head_dim, reinterpret_cast<const Half*>(part + fp16.k),
                            stride, shape.head_dim, logits, kBlockTokens, columns);
    }

    for (int r = 0; r < rows; r++) {
      const int i = tile.first + r / group;
      const int seen = most(0, least(block.tokens, problem.visible[i] - block.first));
      const float slope =
          problem.slopes != nullptr ? problem.slopes[kv_head * group + r % group] : 1.0f;
      const uint16_t* add =
          problem.mask != nullptr ? problem.mask + i * problem.mask_stride + block.first : nullptr;
      soften(logits + static_cast<size_t>(r) * kBlockTokens, seen, tokens, coded ? bias[r] : 0.0f,
             problem, slope, add, state.m + r, state.l + r,
             state.o + static_cast<size_t>(r) * head_dim);
    }

    if (coded) {
      const Half* scale = reinterpret_cast<const Half*>(part + int8.v_scale);
      for (int r = 0; r < rows; r++) {
        float* weights = logits + static_cast<size_t>(r) * kBlockTokens;
        for (int t = 0; t < columns; t += V::kWidth)
          V::mul(V::load(weights + t), V::load(scale + t)).store(weights + t);
      }
      multiply<int8_t, true>(rows, logits, kBlockTokens,
                             reinterpret_cast<const int8_t*>(part + int8.v), head_dim, tokens,
                             state.o, head_dim, shape.head_dim);
    } else {
      multiply<Half, true>(rows, logits, kBlockTokens, reinterpret_cast<const Half*>(part + fp16.v),
                           head_dim, tokens, state.o, head_dim, shape.head_dim);
    }
  }
}
