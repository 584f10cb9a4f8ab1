#pragma once
// Layers whose key bias would spoil low-bit keys, found before the model is loaded.
//
// Some models (Qwen2 and 2.5 above all) have key biases of a norm 30 times the median in their
// first and last layers: with RoPE they become waves that a grid of few codes has to cover.

#include <cstdint>
#include <string>
#include <vector>

namespace sightline::runtime {

/// Norms of the layers' key biases; empty where the model has none that is readable.
std::vector<double> key_bias_norms(const std::string& model_path);

/// The layers whose norm is more than 8 times the median one.
std::vector<int32_t> biased_layers(const std::vector<double>& norms);

}  // namespace sightline::runtime
