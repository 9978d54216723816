// SPDX-License-Identifier: MIT
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "dmabuffs/image/picture.h"

namespace dmabuffs::image {

/// Lines of 16 bytes as xxd(1) prints them, of bytes that stand at `offset`; with a picture the plane and the
/// row that each line begins in stand behind it ("  Y 12", "  UV 3"; "  -" for what is in none).
std::string hex_lines(std::span<const std::byte> bytes, uint64_t offset, const Picture* picture);

/// Bytes of a line of 16, without a picture, below 4 GiB.
inline constexpr size_t kHexLine = 68;

}  // namespace dmabuffs::image
