// Products of a few rows with a block's keys or values, decoded in registers. Included by body.inl.

/// c[R][N * width] (+)= a[R][k] * b[k][N * width]; row strides lda, ldb, ldc in elements.
template <typename T, bool kAdd, int R, int N>
inline void float_tile(const float* a, size_t lda, const T* b, size_t ldb, int k, float* c,
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
inline void float_rows(int rows, const float* a, size_t lda, const T* b, size_t ldb, int k,
                       float* c, size_t ldc, int columns) {
  if constexpr (R > 1) {
    if (rows < R) return float_rows<T, kAdd, R - 1>(rows, a, lda, b, ldb, k, c, ldc, columns);
  }
  int n = 0;
  for (; n + 2 * V::kWidth <= columns; n += 2 * V::kWidth)
    float_tile<T, kAdd, R, 2>(a, lda, b + n, ldb, k, c + n, ldc);
  for (; n < columns; n += V::kWidth) float_tile<T, kAdd, R, 1>(a, lda, b + n, ldb, k, c + n, ldc);
}

/// c[rows][columns] (+)= a[rows][k] * b[k][columns]; columns a multiple of 16.
template <typename T, bool kAdd>
inline void float_product(int rows, const float* a, size_t lda, const T* b, size_t ldb, int k,
                          float* c, size_t ldc, int columns) {
  const int chunks = (rows + V::kRows - 1) / V::kRows;
  for (int chunk = 0; chunk < chunks; chunk++) {
    const int first = rows * chunk / chunks;
    const size_t at = static_cast<size_t>(first);
    float_rows<T, kAdd, V::kRows>(rows * (chunk + 1) / chunks - first, a + at * lda, lda, b, ldb, k,
                                  c + at * ldc, ldc, columns);
  }
}

// Integer products. A row's elements are rounded to 14 bits and cut into two signed digits,
// x = scale * (128 * high + low), high in [-64, 64], low in [-64, 63]: so small that a pair of
// products with 8-bit codes fits 16 bits on every instruction set. The sums are exact integers, the
// same on all of them; the rounding is at most scale / 2 an element, scale = max|x| / 8255.

inline constexpr float kLargestNumber = 64 * 128 + 63;

/// Rows of digits for one integer product.
struct DigitRows {
  int8_t* digits;  // [rows][2][stride]: high digits, then low ones
  size_t stride;
  float* scale;    // [rows]
  int32_t* total;  // [rows] sum of the row's numbers
  float* bias;     // [rows] added to each of the row's results

  int8_t* high(int row) const { return digits + 2 * static_cast<size_t>(row) * stride; }
};

/// Rounds count elements (a multiple of 16), the largest of which is `largest` in magnitude.
inline void set_digits(const DigitRows& rows, int row, const float* x, int count, float largest) {
  const float inverse = largest > 0.0f ? kLargestNumber / largest : 0.0f;
  const V factor = V::broadcast(inverse);
  int8_t* high = rows.high(row);
  V total = V::zero();
  for (int i = 0; i < count; i += V::kWidth) {
    const V number = V::round(V::mul(V::load(x + i), factor));
    total = V::add(total, number);
    V::store_digits(number, high + i, high + rows.stride + i);
  }
  rows.total[row] = static_cast<int32_t>(V::sum(total));
  rows.scale[row] = largest / kLargestNumber;
}

/// What the codes of a product are: unsigned, kPerByte of them in a byte, codes of four consecutive
/// k side by side: [k / 4 / kPerByte][lanes][4] bytes. kBias is taken off each code.
template <int kPerByteValue, int kBiasValue>
struct Codes {
  static constexpr int kPerByte = kPerByteValue;
  static constexpr int kBias = kBiasValue;
};

template <typename C, bool kAdd, int R>
inline void integer_tile(const DigitRows& a, int row, const uint8_t* b, size_t ldb, int k, float* c,
                         size_t ldc) {
  V::Sums high[R], low[R];
  for (int r = 0; r < R; r++) high[r] = low[r] = V::no_sums();
  const int8_t* digits = a.high(row);
  for (int i = 0; i < k; i += 4 * C::kPerByte, b += ldb) {
    const typename V::Bytes bytes = V::load_bytes(b);
    const auto add = [&](typename V::Bytes codes, int at) {
      for (int r = 0; r < R; r++) {
        const int8_t* digit = digits + 2 * static_cast<size_t>(r) * a.stride + at;
        high[r] = V::dot4(high[r], codes, digit);
        low[r] = V::dot4(low[r], codes, digit + a.stride);
      }
    };
    if constexpr (C::kPerByte == 1) {
      add(bytes, i);
    } else if constexpr (C::kPerByte == 2) {
      add(V::template field<4, 0>(bytes), i);
      add(V::template field<4, 4>(bytes), i + 4);
    } else {
      add(V::template field<2, 0>(bytes), i);
      add(V::template field<2, 2>(bytes), i + 4);
      add(V::template field<2, 4>(bytes), i + 8);
      add(V::template field<2, 6>(bytes), i + 12);
    }
  }
  for (int r = 0; r < R; r++) {
    const V sum = V::combine(high[r], low[r], (V::kDotBias - C::kBias) * a.total[row + r]);
    float* out = c + static_cast<size_t>(r) * ldc;
    const V start = V::broadcast(a.bias[row + r]);
    const V base = kAdd ? V::add(V::load(out), start) : start;
    V::fma(sum, V::broadcast(a.scale[row + r]), base).store(out);
  }
}

template <typename C, bool kAdd, int R>
inline void integer_rows(int rows, const DigitRows& a, int row, const uint8_t* b, size_t ldb, int k,
                         float* c, size_t ldc, int columns) {
  if constexpr (R > 1) {
    if (rows < R) return integer_rows<C, kAdd, R - 1>(rows, a, row, b, ldb, k, c, ldc, columns);
  }
  for (int n = 0; n < columns; n += V::kWidth)
    integer_tile<C, kAdd, R>(a, row, b + 4 * n, ldb, k, c + n, ldc);
}

/// c[rows][columns] (+)= scale * (a[rows][k] * (b[k][columns] - kBias)) + bias; columns a multiple
/// of 16, k of 4 codes' bytes; ldb is the bytes between four consecutive k and the next.
template <typename C, bool kAdd>
inline void integer_product(int rows, const DigitRows& a, const uint8_t* b, size_t ldb, int k,
                            float* c, size_t ldc, int columns) {
  const int chunks = (rows + V::kIntegerRows - 1) / V::kIntegerRows;
  for (int chunk = 0; chunk < chunks; chunk++) {
    const int first = rows * chunk / chunks;
    integer_rows<C, kAdd, V::kIntegerRows>(rows * (chunk + 1) / chunks - first, a, first, b, ldb, k,
                                           c + static_cast<size_t>(first) * ldc, ldc, columns);
  }
}
