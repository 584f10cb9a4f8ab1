// Products of a few rows with panels of keys or values (format/access.h), decoded in registers.
// Included by body.inl.

inline constexpr int kPanelVectors = kLanes / V::kWidth;

/// What to fetch while an operand is read, a line for every line: where much is computed on a line,
/// processors do not look far enough ahead by themselves.
struct Fetch {
  std::span<const std::byte> first, second;
  const std::byte* read = nullptr;  // where the operand's panels start

  /// From a place in the operand to what is fetched when it is read; 0 where nothing is.
  ptrdiff_t ahead(const void* place) const {
    const ptrdiff_t at = static_cast<const std::byte*>(place) - read;
    const ptrdiff_t size = static_cast<ptrdiff_t>(first.size());
    if (at < size) return first.data() - read;
    return second.empty() ? 0 : second.data() - size - read;
  }
};

template <typename T>
inline void fetch(const T* place, ptrdiff_t ahead) {
  V::prefetch(reinterpret_cast<const std::byte*>(place) + ahead);
}

/// b of a product: panels [columns / kLanes][...] of which the first k rows count.
template <typename T>
struct Panels {
  const T* data;
  size_t stride;  // elements from one panel to the next
  Fetch fetch;

  /// The n-th vector's elements of a row, counted from the panel of column `column`.
  template <int kRowElements>
  const T* at(int column, int row, int n) const {
    constexpr int kVectorElements = kRowElements / kPanelVectors;
    return data + static_cast<size_t>(column / kLanes + n / kPanelVectors) * stride +
           area(row, kRowElements) + n % kPanelVectors * kVectorElements;
  }
};

/// Calls chunk(first row, count) over all rows, in even parts of at most kMost.
template <int kMost, typename Chunk>
inline void each_chunk(int rows, const Chunk& chunk) {
  const int chunks = (rows + kMost - 1) / kMost;
  for (int i = 0; i < chunks; i++) {
    const int first = rows * i / chunks;
    chunk(first, rows * (i + 1) / chunks - first);
  }
}

/// c[R][P * kLanes] (+)= a[R][k] * b[k][P * kLanes] from column `column` on.
template <typename T, bool kAdd, int R, int P>
inline void float_tile(const float* a, size_t lda, const Panels<T>& b, int k, float* c, size_t ldc,
                       int column) {
  constexpr int N = P * kPanelVectors;
  const ptrdiff_t ahead = b.fetch.ahead(b.template at<kLanes>(column, 0, 0));
  V sum[R][N];
  c += column;
  SIGHTLINE_UNROLL
  for (int r = 0; r < R; r++)
    for (int n = 0; n < N; n++)
      sum[r][n] = kAdd ? V::load(c + static_cast<size_t>(r) * ldc + n * V::kWidth) : V::zero();
  for (int i = 0; i < k; i++) {
    V row[N];
    for (int n = 0; n < N; n++) {
      const T* elements = b.template at<kLanes>(column, i, n);
      row[n] = V::load(elements);
      if (n % kPanelVectors == 0) fetch(elements, ahead);
    }
    for (int r = 0; r < R; r++) {
      const V scalar = V::broadcast(a[static_cast<size_t>(r) * lda + static_cast<size_t>(i)]);
      for (int n = 0; n < N; n++) sum[r][n] = V::fma(scalar, row[n], sum[r][n]);
    }
  }
  SIGHTLINE_UNROLL
  for (int r = 0; r < R; r++)
    for (int n = 0; n < N; n++) sum[r][n].store(c + static_cast<size_t>(r) * ldc + n * V::kWidth);
}

template <typename T, bool kAdd, int R>
inline void float_rows(int rows, const float* a, size_t lda, const Panels<T>& b, int k, float* c,
                       size_t ldc, int columns) {
  if constexpr (R > 1) {
    if (rows < R) return float_rows<T, kAdd, R - 1>(rows, a, lda, b, k, c, ldc, columns);
  }
  int n = 0;
  for (; n + V::kPanels * kLanes <= columns; n += V::kPanels * kLanes)
    float_tile<T, kAdd, R, V::kPanels>(a, lda, b, k, c, ldc, n);
  for (; n < columns; n += kLanes) float_tile<T, kAdd, R, 1>(a, lda, b, k, c, ldc, n);
}

/// c[rows][columns] (+)= a[rows][k] * b[k][columns]; columns a multiple of kLanes; row strides lda
/// and ldc in elements.
template <typename T, bool kAdd>
inline void float_product(int rows, const float* a, size_t lda, Panels<T> b, int k, float* c,
                          size_t ldc, int columns) {
  each_chunk<V::kRows>(rows, [&](int first, int count) {
    const size_t at = static_cast<size_t>(first);
    float_rows<T, kAdd, V::kRows>(count, a + at * lda, lda, b, k, c + at * ldc, ldc, columns);
    b.fetch = {};
  });
}

// Integer products. A row's elements are rounded to numbers, x = scale * number, of as many bits as
// the codes deserve. With 8-bit codes these are 14 bits, cut into two signed digits, number = 128 *
// high + low, high in [-64, 64], low in [-64, 63]: so small that a pair of products fits 16 bits on
// every instruction set. With codes of 4 bits or less one digit of 8 bits does, which adds a tenth
// to the error of the codes. The sums are exact integers, the same on all instruction sets; the
// rounding is at most scale / 2 an element.

template <int kDigits>
inline constexpr float kLargestNumber = kDigits == 2 ? 64 * 128 + 63 : 127;

/// Numbers are cut up in runs of four vectors; buffers hold whole runs.
inline constexpr int kDigitRun = 4 * V::kWidth;

/// The most rows of an integer product's register tile: sums and codes fill V::kIntegerRegisters.
template <int kDigits>
inline constexpr int kIntegerRows = least(
    kMostTileRows, (V::kIntegerRegisters / (V::kIntegerPanels * kPanelVectors) - 1) / kDigits);

/// Rows of digits for one integer product. What a register tile reads at a time lies side by side.
struct DigitRows {
  int tile;        // rows of a register tile
  int8_t* digits;  // [rows / tile][room / kDigitRun][tile][2][kDigitRun], high digits first
  size_t room;     // elements of a row, whole runs
  float* scale;    // [rows]
  int32_t* total;  // [rows] sum of the row's numbers
  float* bias;     // [rows] added to each of the row's results

  /// In even tiles.
  template <int kDigits>
  DigitRows tiled(int rows) const {
    const int tiles = (rows + kIntegerRows<kDigits> - 1) / kIntegerRows<kDigits>;
    return {(rows + tiles - 1) / tiles, digits, room, scale, total, bias};
  }
  size_t run_step() const { return area(tile, 2 * kDigitRun); }
  /// The row's first run of high digits, or of the only ones; the low ones follow; the next run is
  /// run_step() on.
  int8_t* row(int r) const {
    return digits + area(r / tile, tile) * 2 * room + area(r % tile, 2 * kDigitRun);
  }
};

/// The grids of codes, in floats: element = zero + factor * code. Of keys by channel, of values by
/// token.
struct Grid {
  float* factor;
  float* zero;
};

inline void load_grid(const Half* halves, int count, float* grid) {
  for (int i = 0; i < count; i += V::kWidth) V::load(halves + i).store(grid + i);
}

/// The same up to whole runs, with zeros from `count` on.
inline void load_runs(const Half* halves, int count, float* grid) {
  load_grid(halves, count, grid);
  for (int i = count; i < rounded_up(count, kDigitRun); i += V::kWidth) V::zero().store(grid + i);
}

/// Makes a row's numbers of element(0), element(V::kWidth), ... up to `count` (whole runs), none of
/// a magnitude above `largest`.
template <int kDigits, typename Element>
inline void set_numbers(const DigitRows& rows, int row, int count, float largest,
                        const Element& element) {
  const V inverse = V::broadcast(largest > 0.0f ? kLargestNumber<kDigits> / largest : 0.0f);
  int8_t* run = rows.row(row);
  V::Sums total = V::no_sums();
  for (int i = 0; i < count; i += kDigitRun, run += rows.run_step()) {
    V four[4];
    for (int n = 0; n < 4; n++) four[n] = V::mul(element(i + n * V::kWidth), inverse);
    total = V::template cut<kDigits>(four, run, run + kDigitRun, total);
  }
  rows.total[row] = V::sum(total);
  rows.scale[row] = largest / kLargestNumber<kDigits>;
}

/// Makes a row's numbers of x * factor and its bias of x * zero. Beyond `count` x and grid hold
/// zeros up to whole runs.
template <int kDigits, bool kHasZero>
inline void fold_numbers(const DigitRows& rows, int row, const float* x, const Grid& grid,
                         int count) {
  V most = V::zero();
  for (int i = 0; i < count; i += V::kWidth)
    most = V::max(most, V::magnitude(V::mul(V::load(x + i), V::load(grid.factor + i))));
  V bias = V::zero();
  set_numbers<kDigits>(rows, row, count, V::largest(most), [&](int i) {
    const V element = V::load(x + i);
    if constexpr (kHasZero) bias = V::fma(element, V::load(grid.zero + i), bias);
    return V::mul(element, V::load(grid.factor + i));
  });
  rows.bias[row] = kHasZero ? V::sum(bias) : 0.0f;
}

/// What the sums of an integer product become: c[row][column] (+)= ...
enum class Result {
  rows,     // scale[row] * sum + bias[row]
  add,      // the same, added to what is there
  columns,  // + grid.factor[column] * scale[row] * sum + grid.zero[column] * scale[row] *
            // total[row]
};

/// The codes of an integer product: unsigned, of kBits bits; kBias is taken off each. Layout:
/// code_place in format/access.h.
template <int kBitsValue, int kBiasValue>
struct Codes {
  static constexpr int kBits = kBitsValue;
  static constexpr int kBias = kBiasValue;
  static constexpr int kRun = 32 / kBits;  // rows whose codes share four bytes
  static constexpr int kDigits = kBits == 8 ? 2 : 1;
};

/// Sums of R rows' digits over N vectors of columns.
template <int kDigits, int R, int N>
struct DigitSums {
  V::Sums of[kDigits][R][N];
};

/// Adds up the rows of one run that the field at kShift holds, and those of the fields above it.
template <typename C, int kShift, int R, int N>
inline void add_fields(DigitSums<C::kDigits, R, N>& sums, const V::Bytes (&bytes)[N],
                       const int8_t* digits) {
  V::Fields codes[N];
  for (int n = 0; n < N; n++) codes[n] = V::template field<C::kBits, kShift>(bytes[n]);
  SIGHTLINE_UNROLL
  for (int r = 0; r < R; r++) {
    for (int d = 0; d < C::kDigits; d++) {
      const V::Digits four = V::load_digits(digits + (2 * r + d) * kDigitRun);
      for (int n = 0; n < N; n++) sums.of[d][r][n] = V::dot4(sums.of[d][r][n], codes[n], four);
    }
  }
  if constexpr (kShift + C::kBits < 8)
    add_fields<C, kShift + C::kBits, R, N>(sums, bytes, digits + 4);
}

template <typename C, Result kResult, int R, int P>
inline void integer_tile(const DigitRows& a, int row, const Panels<uint8_t>& b, int k, float* c,
                         size_t ldc, int column, const Grid& grid) {
  constexpr int N = P * kPanelVectors;
  DigitSums<C::kDigits, R, N> sums;
  for (int d = 0; d < C::kDigits; d++) {
    SIGHTLINE_UNROLL
    for (int r = 0; r < R; r++)
      for (int n = 0; n < N; n++) sums.of[d][r][n] = V::no_sums();
  }
  const uint8_t* codes = b.template at<4 * kLanes>(column, 0, 0);
  const ptrdiff_t ahead = b.fetch.ahead(codes);
  const int8_t* run = a.row(row);
  for (; k > 0; k -= kDigitRun, run += a.run_step()) {
    const int8_t* const end = run + least(kDigitRun, k);
    for (const int8_t* digits = run; digits < end; digits += C::kRun, codes += 4 * kLanes) {
      V::Bytes bytes[N];
      for (int n = 0; n < N; n++) {
        const uint8_t* vector = codes + static_cast<size_t>(n / kPanelVectors) * b.stride +
                                n % kPanelVectors * 4 * V::kWidth;
        bytes[n] = V::load_bytes(vector);
        if (n % kPanelVectors == 0) fetch(vector, ahead);
      }
      add_fields<C, 0, R, N>(sums, bytes, digits);
    }
  }
  SIGHTLINE_UNROLL
  for (int r = 0; r < R; r++) {
    const int32_t offset = ((C::kBits == 8 ? V::kDotBias : 0) - C::kBias) * a.total[row + r];
    const V scale = V::broadcast(a.scale[row + r]);
    const V start = V::broadcast(a.bias[row + r]);
    const V total = V::broadcast(a.scale[row + r] * static_cast<float>(a.total[row + r]));
    float* out = c + static_cast<size_t>(r) * ldc + column;
    for (int n = 0; n < N; n++, out += V::kWidth) {
      const V sum = C::kDigits == 2 ? V::combine(sums.of[0][r][n], sums.of[1][r][n], offset)
                                    : V::to_floats(sums.of[0][r][n], offset);
      if constexpr (kResult == Result::columns) {
        const int at = column + n * V::kWidth;
        const V logit = V::fma(V::mul(sum, scale), V::load(grid.factor + at), V::load(out));
        V::fma(total, V::load(grid.zero + at), logit).store(out);
      } else {
        const V base = kResult == Result::add ? V::add(V::load(out), start) : start;
        V::fma(sum, scale, base).store(out);
      }
    }
  }
}

template <typename C, Result kResult, int R>
inline void integer_rows(int rows, const DigitRows& a, int row, const Panels<uint8_t>& b, int k,
                         float* c, size_t ldc, int columns, const Grid& grid) {
  if constexpr (R > 1) {
    if (rows < R) return integer_rows<C, kResult, R - 1>(rows, a, row, b, k, c, ldc, columns, grid);
  }
  // Few rows take several panels at a time, or each sum would wait for the one before it.
  constexpr int kPossible = V::kIntegerRegisters / ((C::kDigits * R + 1) * kPanelVectors);
  constexpr int P = kPossible >= 4 ? 4 : kPossible >= 2 ? 2 : 1;
  int n = 0;
  for (; P > 1 && n + P * kLanes <= columns; n += P * kLanes)
    integer_tile<C, kResult, R, P>(a, row, b, k, c, ldc, n, grid);
  for (; n < columns; n += kLanes) integer_tile<C, kResult, R, 1>(a, row, b, k, c, ldc, n, grid);
}

/// c[rows][columns] from sums of a[rows][k] * (b[k][columns] - kBias); columns a multiple of
/// kLanes, k of kRun.
template <typename C, Result kResult>
inline void integer_product(int rows, const DigitRows& a, Panels<uint8_t> b, int k, float* c,
                            size_t ldc, int columns, const Grid& grid) {
  for (int first = 0; first < rows; first += a.tile) {
    integer_rows<C, kResult, kIntegerRows<C::kDigits>>(least(a.tile, rows - first), a, first, b, k,
                                                       c + static_cast<size_t>(first) * ldc, ldc,
                                                       columns, grid);
    b.fetch = {};
  }
}
