#include "device/cache_tensor.h"

#include <doctest/doctest.h>

#include <cstring>

using namespace sightline::device;

TEST_CASE("cache tensors are told by their names") {
  CHECK(parse_cache_name("cache_k_l0")->layer == 0);
  CHECK(parse_cache_name("cache_k_l0")->keys);
  CHECK(parse_cache_name("cache_v_l127")->layer == 127);
  CHECK_FALSE(parse_cache_name("cache_v_l127")->keys);
  for (const char* other : {"", "cache_k_l", "cache_k_lx", "cache_k_l1 (view)", "cache_r_l1",
                            "cache_s_l0", "blk.0.attn_k.weight", "cache_k_l99999999999999"})
    CHECK_FALSE(parse_cache_name(other).has_value());
}

TEST_CASE("only plain FP16 tensors of the context's length are owned") {
  const auto tensor = [](const char* name, ggml_type type, int64_t rows, int64_t streams) {
    ggml_tensor t{};
    t.type = type;
    t.ne[0] = 128;
    t.ne[1] = rows;
    t.ne[2] = streams;
    t.ne[3] = 1;
    std::strncpy(t.name, name, sizeof t.name - 1);
    return t;
  };
  ggml_tensor keys = tensor("cache_k_l3", GGML_TYPE_F16, 4096, 1);
  CHECK(owned_cache(&keys, 4096)->layer == 3);
  CHECK_FALSE(owned_cache(&keys, 8192).has_value());
  CHECK_FALSE(owned_cache(&keys, 0).has_value());
  ggml_tensor view{};
  view.view_src = &keys;
  view.op = GGML_OP_VIEW;
  CHECK(owned_cache(&view, 4096)->layer == 3);
  const ggml_tensor quantised = tensor("cache_k_l3", GGML_TYPE_Q8_0, 4096, 1);
  CHECK_FALSE(owned_cache(&quantised, 4096).has_value());
  const ggml_tensor streams = tensor("cache_k_l3", GGML_TYPE_F16, 4096, 2);
  CHECK_FALSE(owned_cache(&streams, 4096).has_value());
  const ggml_tensor window = tensor("cache_k_l3", GGML_TYPE_F16, 1024, 1);
  CHECK_FALSE(owned_cache(&window, 4096).has_value());
}
