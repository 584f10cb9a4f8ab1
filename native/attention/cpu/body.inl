// The attention kernel over any instruction set. Included by the file of each one, inside its
// target region and an anonymous namespace, with `V` naming its vector of floats:
//
//   V::kWidth lanes (divides 16)
//   load(const float* | const Half* | const E4m3*)  store(float*)  broadcast(float)  zero()
//   fma(a, b, c) = a * b + c  mul(a, b)  add(a, b)  sub(a, b)  max(a, b)  magnitude(a)  round(a)
//   scale2(a, n) = a * 2^n for integral n in [-126, 0]  sum(a)  largest(a)
//   prefetch(address)
//   V::kRows, V::kPanels rows and panels of a float product's register tile
//
// and for integer products, on kWidth sums of 32 bits and 4 * kWidth bytes:
//
//   Sums no_sums()  Bytes load_bytes(const uint8_t*)
//   Fields field<bits, shift>(bytes): of every byte the field of that width
//   dot4(sums, codes, digits): adds code * digit of four neighbours, the digits being the same four
//     for all lanes; a code of 8 bits counts as code - kDotBias
//   combine(high, low, offset) = 128 * high + low + offset, to_floats(sums, offset), as floats
//   cut<kDigits>(numbers[4], high, low, sums): rounds the numbers, stores their digits, and adds
//     them up somehow over the sums'; sum(sums)
//   V::kIntegerRegisters, V::kIntegerPanels registers for sums and codes of an integer product's
//     tile, panels of a full one

struct Half {
  uint16_t bits;
};

/// Loads as 2^-8 of its value: e4m3.h.
struct E4m3 {
  uint8_t bits;
};

template <typename T>
constexpr T least(T a, T b) {
  return a < b ? a : b;
}
template <typename T>
constexpr T most(T a, T b) {
  return a > b ? a : b;
}
constexpr int rounded_up(int value, int step) { return (value + step - 1) / step * step; }

template <typename T>
inline const T* at(const std::byte* part, size_t offset) {
  return reinterpret_cast<const T*>(part + offset);
}

#include "attention/cpu/product.inl"

inline constexpr float kLog2E = 1.44269504f;

/// 2^x for x <= 0; below -126 the result is that of -126. Relative error < 3e-7: 2^n * 2^f with
/// |f| <= 1/2, 2^f by the polynomial of degree 5 with the least relative error (7.5e-8, Remez).
inline V exp2_nonpositive(V x) {
  x = V::max(x, V::broadcast(-126.0f));
  const V n = V::round(x);
  const V f = V::sub(x, n);
  V p = V::broadcast(1.32764767e-3f);
  p = V::fma(p, f, V::broadcast(9.67554e-3f));
  p = V::fma(p, f, V::broadcast(5.550713e-2f));
  p = V::fma(p, f, V::broadcast(2.402212e-1f));
  p = V::fma(p, f, V::broadcast(6.93146969e-1f));
  p = V::fma(p, f, V::broadcast(1.00000007f));
  return V::scale2(p, n);
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
  size_t query_stride;   // whole runs
  const float* queries;  // [count][query_stride], scaled, zeros behind
  float* temporary;      // [count][head_dim]
  float* logits;         // [count][kBlockTokens], then weights
  float* mass;           // [count] sum of a row's weights
  DigitRows numbers;
  DigitRows rotated;  // [groups][count] of the rotated queries, where a block needs them
  Grid grid;          // of the block at hand

  const float* query(int r) const { return queries + static_cast<size_t>(r) * query_stride; }
  float* temporary_row(int r) const { return temporary + area(r, head_dim); }
  float* logits_row(int r) const { return logits + area(r, kBlockTokens); }
  DigitRows rotated_group(int g) const {
    const size_t first = area(g, count);
    DigitRows rows = rotated.tiled<1>(count);
    rows.digits += static_cast<size_t>(g) * digit_rows(count) * 2 * rotated.room;
    rows.scale += first;
    rows.total += first;
    rows.bias += first;
    return rows;
  }
};

template <typename T>
inline Panels<T> panels(const std::byte* data, size_t stride, const Fetch& fetch) {
  return {reinterpret_cast<const T*>(data), stride, {fetch.first, fetch.second, data}};
}

/// Keys whose grids belong to the channels: the scales fold into the queries, the zero points give
/// one number a row.
inline void int8_logits(const Rows& rows, const std::byte* k, const Int8Keys& layout,
                        const Fetch& fetch, int columns) {
  load_runs(at<Half>(k, layout.scale), rows.head_dim, rows.grid.factor);
  load_runs(at<Half>(k, layout.zero), rows.head_dim, rows.grid.zero);
  const DigitRows numbers = rows.numbers.tiled<2>(rows.count);
  for (int r = 0; r < rows.count; r++)
    fold_numbers<2, true>(numbers, r, rows.query(r), rows.grid, rows.head_dim);
  const size_t panel = area(rows.head_dim, kLanes);
  integer_product<Codes<8, 0>, Result::rows>(
      rows.count, numbers, panels<uint8_t>(k + layout.codes, panel, fetch), rows.head_dim,
      rows.logits, kBlockTokens, columns, rows.grid);
}

/// Keys that are rotated, with the mean taken off and a grid a token: the queries are rotated once
/// for all blocks, the grids apply to the sums, the mean gives one number a row.
inline void int4_logits(const Rows& rows, const std::byte* k, const GroupedLayout& layout,
                        const Fetch& fetch, int capacity, int columns) {
  load_grid(at<Half>(k, layout.mean), rows.head_dim, rows.grid.factor);
  for (int r = 0; r < rows.count; r++) {
    const V mean = V::broadcast(dot(rows.query(r), rows.grid.factor, rows.head_dim));
    for (int t = 0; t < columns; t += V::kWidth) mean.store(rows.logits_row(r) + t);
  }
  const size_t run = area(4, kLanes);  // bytes of eight channels' codes in a panel
  const size_t panel = area(rows.head_dim, kLanes) / 2;
  for (int g = 0; g < layout.groups; g++) {
    load_grid(at<Half>(k, layout.scale) + area(g, capacity), columns, rows.grid.factor);
    load_grid(at<Half>(k, layout.zero) + area(g, capacity), columns, rows.grid.zero);
    const std::byte* codes = k + layout.codes + area(g * layout.group / 8, 1) * run;
    integer_product<Codes<4, 0>, Result::columns>(
        rows.count, rows.rotated_group(g), panels<uint8_t>(codes, panel, fetch), layout.group,
        rows.logits, kBlockTokens, columns, rows.grid);
  }
}

/// logits = queries * keys, for the first `columns` tokens.
inline void multiply_keys(const Rows& rows, const Copy& copy, const std::byte* k,
                          const Fetch& fetch, int columns) {
  const Extent extent = copy.extent(rows.head_dim);
  const size_t head_dim = static_cast<size_t>(rows.head_dim);
  const size_t panel = area(rows.head_dim, kLanes);
  switch (copy.tier.k) {
    case Format::fp16:
      float_product<Half, false>(rows.count, rows.queries, rows.query_stride,
                                 panels<Half>(k, panel, fetch), rows.head_dim, rows.logits,
                                 kBlockTokens, columns);
      return;
    case Format::fp8: {
      const float scale = 0x1p8f * half_to_float(*at<uint16_t>(k, Fp8Layout(extent).scale));
      for (int r = 0; r < rows.count; r++)
        for (int c = 0; c < rows.head_dim; c += V::kWidth)
          V::mul(V::load(rows.query(r) + c), V::broadcast(scale)).store(rows.temporary_row(r) + c);
      float_product<E4m3, false>(rows.count, rows.temporary, head_dim,
                                 panels<E4m3>(k, panel, fetch), rows.head_dim, rows.logits,
                                 kBlockTokens, columns);
      return;
    }
    case Format::int8:
      int8_logits(rows, k, Int8Keys(extent), fetch, columns);
      return;
    case Format::int4:
      int4_logits(rows, k, int4_layout(extent), fetch, copy.capacity, columns);
      return;
    case Format::lowrank: {
      const Half* basis = at<Half>(k, LowrankKeys(extent).basis);
      for (int r = 0; r < rows.count; r++)
        for (int i = 0; i < copy.rank; i++)
          rows.temporary_row(r)[i] =
              dot(rows.query(r), basis + area(i, rows.head_dim), rows.head_dim);
      float_product<Half, false>(rows.count, rows.temporary, head_dim,
                                 panels<Half>(k, area(copy.rank, kLanes), fetch), copy.rank,
                                 rows.logits, kBlockTokens, columns);
      return;
    }
    case Format::int2:
      return;  // no format of keys
  }
}

/// Values with the mean taken off and grids that belong to tokens and groups of channels.
template <typename C>
inline void grouped_values(const Rows& rows, const std::byte* v, const GroupedLayout& layout,
                           const Fetch& fetch, int capacity, int tokens, float* o) {
  const int padded = rounded_up(tokens, kTokenGranule);
  const size_t head_dim = static_cast<size_t>(rows.head_dim);
  load_grid(at<Half>(v, layout.mean), rows.head_dim, rows.grid.factor);
  for (int r = 0; r < rows.count; r++) {
    const V total = V::broadcast(rows.mass[r]);
    float* sums = o + area(r, rows.head_dim);
    for (int c = 0; c < rows.head_dim; c += V::kWidth)
      V::fma(total, V::load(rows.grid.factor + c), V::load(sums + c)).store(sums + c);
  }
  const size_t panel = area(capacity, kLanes) * C::kBits / 8;
  const DigitRows numbers = rows.numbers.tiled<C::kDigits>(rows.count);
  for (int g = 0; g < layout.groups; g++) {
    load_runs(at<Half>(v, layout.scale) + area(g, capacity), padded, rows.grid.factor);
    load_runs(at<Half>(v, layout.zero) + area(g, capacity), padded, rows.grid.zero);
    for (int t = 0; t < padded; t += V::kWidth)  // what a code of kBias stands for
      V::fma(V::broadcast(static_cast<float>(C::kBias)), V::load(rows.grid.factor + t),
             V::load(rows.grid.zero + t))
          .store(rows.grid.zero + t);
    for (int r = 0; r < rows.count; r++)
      fold_numbers<C::kDigits, true>(numbers, r, rows.logits_row(r), rows.grid, padded);
    const int first = g * layout.group;
    integer_product<C, Result::add>(
        rows.count, numbers,
        panels<uint8_t>(v + layout.codes + area(first / kLanes, 1) * panel, panel, fetch), padded,
        o + first, head_dim, layout.group, rows.grid);
  }
}

/// o += weights * values, over the first `tokens` tokens.
inline void multiply_values(const Rows& rows, const Copy& copy, const std::byte* v,
                            const Fetch& fetch, int tokens, float* o) {
  const Extent extent = copy.extent(rows.head_dim);
  const size_t head_dim = static_cast<size_t>(rows.head_dim);
  const size_t panel = area(copy.capacity, kLanes);
  switch (copy.tier.v) {
    case Format::fp16:
      float_product<Half, true>(rows.count, rows.logits, kBlockTokens,
                                panels<Half>(v, panel, fetch), tokens, o, head_dim, rows.head_dim);
      return;
    case Format::fp8: {
      const float scale = 0x1p8f * half_to_float(*at<uint16_t>(v, Fp8Layout(extent).scale));
      for (int r = 0; r < rows.count; r++)
        for (int t = 0; t < tokens; t += V::kWidth)
          V::mul(V::load(rows.logits_row(r) + t), V::broadcast(scale))
              .store(rows.logits_row(r) + t);
      float_product<E4m3, true>(rows.count, rows.logits, kBlockTokens,
                                panels<E4m3>(v, panel, fetch), tokens, o, head_dim, rows.head_dim);
      return;
    }
    case Format::int8: {
      const Int8Values layout(extent);
      const int padded = rounded_up(tokens, kTokenGranule);
      load_runs(at<Half>(v, layout.scale), padded, rows.grid.factor);
      const DigitRows numbers = rows.numbers.tiled<2>(rows.count);
      for (int r = 0; r < rows.count; r++)
        fold_numbers<2, false>(numbers, r, rows.logits_row(r), rows.grid, padded);
      integer_product<Codes<8, kInt8ValueBias>, Result::add>(
          rows.count, numbers, panels<uint8_t>(v + layout.codes, panel, fetch), padded, o, head_dim,
          rows.head_dim, rows.grid);
      return;
    }
    case Format::int4:
      grouped_values<Codes<4, 8>>(rows, v, int4_layout(extent), fetch, copy.capacity, tokens, o);
      return;
    case Format::int2:
      grouped_values<Codes<2, 2>>(rows, v, int2_layout(extent), fetch, copy.capacity, tokens, o);
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

/// Adds what logits get besides the product to the first `seen` ones, all being multiples of ln 2;
/// the rest, up to `padded` (a multiple of 16), become -infinity.
inline void complete(float* logits, int seen, int padded, const Additions& additions) {
  for (int t = seen; t < padded; t++) logits[t] = -std::numeric_limits<float>::infinity();
  if (additions.softcap != 0.0f) {
    const float cap = additions.softcap * kLog2E;
    for (int t = 0; t < seen; t++) logits[t] = cap * std::tanh(logits[t] / cap);
  }
  if (additions.mask != nullptr) {
    for (int t = 0; t < seen; t++)
      logits[t] += kLog2E * additions.slope * half_to_float(additions.masked(t));
  }
}

/// Turns logits into weights 2^(logit - m), and returns their sum. Up to a whole run of digits
/// there are zeros behind them.
inline float weigh(float* logits, int seen, int padded, const Additions& additions, float m) {
  constexpr uint16_t kHidden = 0xfc00;  // -infinity
  const V top = V::broadcast(m);
  V total = V::zero();
  for (int t = 0; t < padded; t += V::kWidth) {
    const V weight = exp2_nonpositive(V::sub(V::load(logits + t), top));
    weight.store(logits + t);
    total = V::add(total, weight);
  }
  for (int t = padded; t < rounded_up(padded, kDigitRun); t++) logits[t] = 0.0f;
  if (seen == padded && additions.mask == nullptr) return V::sum(total);

  // A hidden token weighs nothing, not 2^-126.
  for (int t = seen; t < padded; t++) logits[t] = 0.0f;
  for (int t = 0; additions.mask != nullptr && t < seen; t++)
    if (additions.masked(t) == kHidden) logits[t] = 0.0f;
  total = V::zero();
  for (int t = 0; t < padded; t += V::kWidth) total = V::add(total, V::load(logits + t));
  return V::sum(total);
}

/// Takes a block's logits into a row's state, and turns them into weights.
inline void soften(const Rows& rows, int r, int seen, int padded, const Additions& additions,
                   const State& state) {
  constexpr float kNone = -std::numeric_limits<float>::infinity();
  float* logits = rows.logits_row(r);
  complete(logits, seen, padded, additions);
  V largest = V::broadcast(kNone);
  for (int t = 0; t < padded; t += V::kWidth) largest = V::max(largest, V::load(logits + t));
  const float block_m = V::largest(largest);
  const float old_m = state.m[r];
  const float new_m = block_m > old_m ? block_m : old_m;
  rows.mass[r] = 0.0f;
  if (new_m == kNone) {
    for (int t = 0; t < rounded_up(padded, kDigitRun); t++) logits[t] = 0.0f;
    return;
  }
  if (new_m != old_m) {
    const float rescale = std::exp2(old_m - new_m);  // 2^-infinity = 0: the empty state
    float* o = state.o + area(r, rows.head_dim);
    state.l[r] *= rescale;
    for (int c = 0; c < rows.head_dim; c += V::kWidth)
      V::mul(V::load(o + c), V::broadcast(rescale)).store(o + c);
    state.m[r] = new_m;
  }
  rows.mass[r] = weigh(logits, seen, padded, additions, new_m);
  state.l[r] += rows.mass[r];
}

/// Cuts the scratch memory of a tile up; scratch_floats gives its size.
inline Rows rows_in(float* scratch, int count, int head_dim, float*& queries) {
  const size_t rows = static_cast<size_t>(rounded_up(count, 16));
  const auto take = [&](size_t floats) {
    float* piece = scratch;
    scratch += floats;
    return piece;
  };
  const size_t widest = widest_row(head_dim);
  const size_t stride = static_cast<size_t>(rounded_up(head_dim, kDigitRun));
  queries = take(rows * stride);
  Rows whole{.count = count,
             .head_dim = head_dim,
             .query_stride = stride,
             .queries = queries,
             .temporary = take(rows * widest),
             .logits = take(rows * kBlockTokens),
             .mass = take(rows),
             .numbers = {},
             .rotated = {},
             .grid = {}};
  whole.numbers.scale = take(rows);
  whole.numbers.bias = take(rows);
  whole.numbers.total = reinterpret_cast<int32_t*>(take(rows));
  whole.numbers.room = widest;
  whole.numbers.digits = reinterpret_cast<int8_t*>(take(digit_rows(count) * widest / 2));
  whole.grid = {take(widest), take(widest)};
  const size_t groups = static_cast<size_t>(head_dim / int4_group(head_dim));
  whole.rotated.scale = take(rows * groups);
  whole.rotated.bias = take(rows * groups);
  whole.rotated.total = reinterpret_cast<int32_t*>(take(rows * groups));
  whole.rotated.room = widest;
  whole.rotated.digits = reinterpret_cast<int8_t*>(take(digit_rows(count) * groups * widest / 2));
  return whole;
}

/// One tile's way through blocks for one KV head.
struct Pass {
  const Problem& problem;
  int kv_head;
  Tile tile;
  Rows rows;

  Pass(const Problem& given, int head, Tile queries_of, std::span<const Block> blocks,
       float* scratch)
      : problem(given), kv_head(head), tile(queries_of) {
    const Shape& shape = problem.shape;
    float* queries;
    rows = rows_in(scratch, tile.count * shape.group(), shape.head_dim, queries);
    for (int r = 0; r < rows.count; r++) {
      const float* q = problem.q.row(token_of(r), head_of(r));
      float* scaled = queries + static_cast<size_t>(r) * rows.query_stride;
      for (int c = 0; c < shape.head_dim; c++) scaled[c] = q[c] * (problem.scale * kLog2E);
      for (size_t c = static_cast<size_t>(shape.head_dim); c < rows.query_stride; c++)
        scaled[c] = 0;
    }
    for (const Block& block : blocks) {
      if (copy_of(block).tier.k != Format::int4) continue;
      rotate_queries();
      break;
    }
  }

  void rotate_queries() {
    const int head_dim = problem.shape.head_dim;
    const int group = int4_group(head_dim);
    const int padded = rounded_up(group, kDigitRun);
    float* rotated = rows.temporary;
    for (int r = 0; r < rows.count; r++) {
      for (int g = 0; g < head_dim / group; g++) {
        // Once for every group: a row of temporaries holds no more than one padded group.
        for (int c = 0; c < head_dim; c++) rotated[c] = rows.query(r)[c];
        rotate(rotated, head_dim);
        float largest = 0.0f;
        for (int c = 0; c < padded; c++) {
          rotated[c] = c < group ? rotated[g * group + c] : 0.0f;
          largest = std::fmax(largest, std::fabs(rotated[c]));
        }
        set_numbers<1>(rows.rotated_group(g), r, padded, largest,
                       [&](int i) { return V::load(rotated + i); });
      }
    }
  }

  int token_of(int r) const { return tile.first + r / problem.shape.group(); }
  int head_of(int r) const { return kv_head * problem.shape.group() + r % problem.shape.group(); }
  const Copy& copy_of(const Block& block) const { return block.copy(problem.visible[tile.first]); }
  /// Where the KV head's keys and values of a block are.
  struct Part {
    std::span<const std::byte> keys, values;
  };
  Part part_of(const Block& block) const {
    const Copy& copy = copy_of(block);
    if (copy.data == nullptr) return {};
    const Extent extent = copy.extent(problem.shape.head_dim);
    const size_t bytes = part_bytes(copy.tier, extent);
    const size_t key_bytes = values_offset(copy.tier, extent);
    const std::byte* keys = copy.data + bytes * static_cast<size_t>(kv_head);
    return {{keys, key_bytes}, {keys + key_bytes, bytes - key_bytes}};
  }
  /// How many of the copy's tokens a query sees. Where some were dropped, the block is behind every
  /// query that reads the copy.
  int seen_by(int token, const Block& block) const {
    const Copy& copy = copy_of(block);
    const int seen = copy.positions != nullptr ? copy.tokens : problem.visible[token] - block.first;
    return most(0, least(copy.tokens, seen));
  }
  /// The most that a query of the tile sees.
  int seen(const Block& block) const {
    int tokens = 0;
    for (int i = tile.first; i < tile.first + tile.count; i++)
      tokens = most(tokens, seen_by(i, block));
    return tokens;
  }
  Additions additions(int r, const Block& block) const {
    const Copy& copy = copy_of(block);
    return {problem.softcap, problem.slopes != nullptr ? problem.slopes[head_of(r)] : 1.0f,
            problem.mask != nullptr ? problem.mask + token_of(r) * problem.mask_stride : nullptr,
            copy.positions != nullptr ? copy.positions + kv_head * copy.capacity : nullptr,
            block.first};
  }
};

void attend(const Problem& problem, int kv_head, Tile tile, std::span<const Block> blocks,
            float* scratch, const State& state) {
  const Pass pass(problem, kv_head, tile, blocks, scratch);
  const Rows& rows = pass.rows;
  const int head_dim = problem.shape.head_dim;
  for (int r = 0; r < rows.count; r++) {
    state.m[r] = -std::numeric_limits<float>::infinity();
    state.l[r] = 0.0f;
  }
  for (size_t i = 0; i < area(rows.count, head_dim); i++) state.o[i] = 0.0f;

  if (blocks.empty()) return;
  Pass::Part part = pass.part_of(blocks.front());
  for (const Block& block : blocks) {
    const bool is_last = &block == &blocks.back();
    const Pass::Part here = part;
    part = is_last ? Pass::Part{} : pass.part_of((&block)[1]);
    const int tokens = pass.seen(block);
    if (tokens == 0) continue;
    const Copy& copy = pass.copy_of(block);
    const int padded = rounded_up(tokens, kTokenGranule);
    multiply_keys(rows, copy, here.keys.data(), {here.values, part.keys}, padded);
    for (int r = 0; r < rows.count; r++)
      soften(rows, r, pass.seen_by(pass.token_of(r), block), padded, pass.additions(r, block),
             state);
    // As many lines as keys have more than values were fetched while those were read.
    const size_t fetched = most(here.keys.size(), here.values.size()) - here.values.size();
    multiply_values(rows, copy, here.values.data(),
                    {part.keys.subspan(least(fetched, part.keys.size())), {}}, tokens, state.o);
  }
}

void observe(const Problem& problem, int kv_head, Tile tile, float* scratch, const State& state,
             float* mass) {
  const Pass pass(problem, kv_head, tile, problem.blocks, scratch);
  const Received& received = problem.received;
  for (int t = 0; t < received.count; t++) mass[t] = 0.0f;
  for (const Block& block : problem.blocks) {
    const int tokens = pass.seen(block);
    if (tokens == 0 || block.end() <= received.first) continue;
    const int padded = rounded_up(tokens, kTokenGranule);
    multiply_keys(pass.rows, pass.copy_of(block), pass.part_of(block).keys.data(), {}, padded);
    for (int r = 0; r < pass.rows.count; r++) {
      float* logits = pass.rows.logits_row(r);
      const int seen = pass.seen_by(pass.token_of(r), block);
      const Additions additions = pass.additions(r, block);
      complete(logits, seen, padded, additions);
      const float share = state.l[r] > 0.0f ? 1.0f / state.l[r] : 0.0f;
      weigh(logits, seen, padded, additions, state.m[r]);
      const int skipped = most(0, received.first - block.first);
      for (int t = skipped; t < seen; t++)
        mass[block.first + t - received.first] += share * logits[t];
    }
  }
}
