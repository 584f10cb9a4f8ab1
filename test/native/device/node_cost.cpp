// What is told of single nodes, as llama.cpp names and shapes them.

#include "device/node_cost.h"

#include <doctest/doctest.h>

#include <string>

#include "host.h"

using namespace sightline::device;
using namespace sightline::test;

namespace {

/// Tensors without data.
struct Tensors {
  ContextPointer context{ggml_init({ggml_tensor_overhead() * 64, nullptr, true})};

  ggml_tensor* named(ggml_tensor* tensor, const char* name) const {
    return ggml_set_name(tensor, name);
  }
  ggml_tensor* make(const char* name, ggml_type type, int64_t a, int64_t b = 1,
                    int64_t c = 1) const {
    return named(ggml_new_tensor_3d(context.get(), type, a, b, c), name);
  }
};

std::string name_of(const ggml_tensor* node) {
  const Operation operation = describe(node, "CPU");
  return operation.name + " " + operation.role + " " + std::to_string(operation.layer);
}

}  // namespace

TEST_CASE("nodes are called by their weights or by their results, without the layer") {
  const Tensors t;
  ggml_context* context = t.context.get();
  ggml_tensor* x = t.make("inp", GGML_TYPE_F32, 64, 5);
  ggml_tensor* weights = t.make("blk.12.ffn_gate.weight", GGML_TYPE_Q8_0, 64, 96);
  ggml_tensor* output = t.make("output.weight", GGML_TYPE_Q8_0, 64, 96);
  ggml_tensor* factors = t.make("blk.3.attn_norm.weight", GGML_TYPE_F32, 64);
  ggml_tensor* product = t.named(ggml_mul_mat(context, weights, x), "ffn_gate-12");
  CHECK(name_of(product) == "MUL_MAT ffn_gate 12");
  CHECK(describe(product, "CPU").shape == "q8_0 64x96, f32 64x5 -> f32 96x5");
  CHECK(name_of(t.named(ggml_mul_mat(context, output, x), "result_output")) == "MUL_MAT output -1");
  CHECK(name_of(t.named(ggml_mul(context, x, factors), "attn_norm-3")) == "MUL attn_norm 3");
  CHECK(name_of(t.named(ggml_mul(context, x, factors), "node_17")) == "MUL attn_norm 3");
  CHECK(name_of(t.named(ggml_add(context, x, x), "node_18")) == "ADD  -1");
  CHECK(name_of(t.named(ggml_add(context, x, x), "Qcur-3 (reshaped)")) == "ADD Qcur 3");
  CHECK(name_of(t.named(ggml_silu(context, x), "ffn_silu-0")) == "SILU ffn_silu 0");
  CHECK(name_of(t.named(ggml_mul_mat(context, x, x), "kq-7")) == "MUL_MAT kq 7");
  ggml_tensor* cache = t.make("cache_k_l7", GGML_TYPE_F16, 64, 256);
  ggml_tensor* rows = t.make("rows", GGML_TYPE_I64, 5);
  CHECK(name_of(t.named(ggml_set_rows(context, cache, x, rows), "cache_k_l7 (view)")) ==
        "SET_ROWS cache_k 7");
}

TEST_CASE("FLOPs and bytes are those that an operation is bound to take") {
  const Tensors t;
  ggml_context* context = t.context.get();
  constexpr double kQ8 = 34.0 / 32;  // bytes of an element
  ggml_tensor* x = t.make("x", GGML_TYPE_F32, 64, 5);

  ggml_tensor* weights = t.make("w", GGML_TYPE_Q8_0, 64, 96);
  Cost cost = cost_of(ggml_mul_mat(context, weights, x));
  CHECK(cost.flops == 2.0 * 64 * 96 * 5);
  CHECK(cost.bytes == 64 * 96 * kQ8 + 4 * (64 * 5 + 96 * 5));

  // Of 8 experts, 2 for each of 3 tokens: 6 at most.
  ggml_tensor* experts = t.make("experts", GGML_TYPE_Q8_0, 64, 96, 8);
  ggml_tensor* chosen = t.make("chosen", GGML_TYPE_I32, 2, 3);
  ggml_tensor* tokens = t.make("tokens", GGML_TYPE_F32, 64, 1, 3);
  cost = cost_of(ggml_mul_mat_id(context, experts, tokens, chosen));
  CHECK(cost.flops == 2.0 * 64 * 96 * 2 * 3);
  CHECK(cost.bytes == doctest::Approx(6 * 64 * 96 * kQ8 + 4 * (64 * 3 + 6 + 96 * 2 * 3)));

  ggml_tensor* ids = t.make("ids", GGML_TYPE_I32, 5);
  cost = cost_of(ggml_get_rows(context, weights, ids));
  CHECK(cost.flops == 0);
  CHECK(cost.bytes == 5 * 64 * kQ8 + 4 * 5 + 4 * 5 * 64);

  ggml_tensor* cache = t.make("cache_k_l0", GGML_TYPE_F16, 64, 256);
  ggml_tensor* rows = t.make("rows", GGML_TYPE_I64, 5);
  cost = cost_of(ggml_set_rows(context, cache, x, rows));
  CHECK(cost.flops == 0);
  CHECK(cost.bytes == 4 * 64 * 5 + 8 * 5 + 2 * 64 * 5);

  ggml_tensor* q = t.make("q", GGML_TYPE_F32, 64, 5, 4);
  ggml_tensor* k = t.make("k", GGML_TYPE_F16, 64, 256, 2);
  ggml_tensor* v = t.make("v", GGML_TYPE_F16, 64, 256, 2);
  cost = cost_of(ggml_flash_attn_ext(context, q, k, v, nullptr, 1, 0, 0));
  CHECK(cost.flops == 4.0 * 4 * 64 * 5 * 256);
  CHECK(cost.bytes == 2 * 4 * 64 * 5 * 4 + 2 * 2 * 64 * 256 * 2);

  cost = cost_of(ggml_add(context, x, x));
  CHECK(cost.flops == 64 * 5);
  CHECK(cost.bytes == 3 * 4 * 64 * 5);
  CHECK(cost_of(ggml_cont(context, x)).flops == 0);
}
