#pragma once
// What tells one model file from another.

#include <array>
#include <cstddef>
#include <optional>
#include <string>

namespace sightline::runtime {

using Fingerprint = std::array<std::byte, 16>;

/// Of the file's size, its header (metadata and table of tensors), and samples of its data spread
/// over the whole file. Nothing where the file cannot be read any more.
std::optional<Fingerprint> fingerprint(const std::string& model_path);

}  // namespace sightline::runtime
