#include "device/cache_tensor.h"

#include <doctest/doctest.h>

#include <cstring>

using namespace sightline::device;

TEST_CASE("cache tensors are told by their names") {
  CHECK(parse_cache_name("cache_k_l0")->layer == 0);
  CHECK(parse_cache_name("cache_k_l0")->keys);
  CHECK(parse_cache_name("cache_v_l127")->layer == 127);
  CHECK_FALSE(parse_cache_name("cache_v_l127")->keys);
  for (const char* other :
       {"", "cache_k_l", "cache_k_lx", "cache_k_l1 (view)", "cache_r_l1", "cache_s_l0",
        "cache_k_l-1", "blk.0.attn_k.weight", "cache_k_l99999999999999"})
    CHECK_FALSE(parse_cache_name(other).has_value());
}

TEST_CASE("only plain FP16 tensors of one stream can be ours") {
  const auto tensor = [](const char* name, ggml_type type, int64_t streams) {
    ggml_tensor t{};
    t.type = type;
    t.ne[0] = 128;
    t.ne[1] = 4096;
    t.ne[2] = streams;
    t.ne[3] = 1;
    std::strncpy(t.name, name, sizeof t.name - 1);
    return t;
  };
  ggml_tensor keys = tensor("cache_k_l3", GGML_TYPE_F16, 1);
  CHECK(plain_cache(&keys)->layer == 3);
  ggml_tensor view = keys;
  view.view_src = &keys;
  view.op = GGML_OP_VIEW;
  CHECK_FALSE(plain_cache(&view).has_value());
  CHECK(root(&view) == &keys);
  const ggml_tensor quantised = tensor("cache_k_l3", GGML_TYPE_Q8_0, 1);
  CHECK_FALSE(plain_cache(&quantised).has_value());
  const ggml_tensor streams = tensor("cache_k_l3", GGML_TYPE_F16, 2);
  CHECK_FALSE(plain_cache(&streams).has_value());
  const ggml_tensor recurrent = tensor("cache_r_l3", GGML_TYPE_F16, 1);
  CHECK_FALSE(plain_cache(&recurrent).has_value());
}
