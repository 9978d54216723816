// SPDX-License-Identifier: MIT
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "dmabuffs/image/picture.h"

namespace dmabuffs::image {

/// Lines as xxd(1) prints them, of bytes that stand at `offset`, a multiple of 16 for all but the first line;
/// with a picture the plane and row that each line begins in stand behind it ("  Y 12" / "  UV 3" / "  -").
std::string hex_lines(std::span<const std::byte> bytes, uint64_t offset, const Picture* picture);

/// Bytes of one line of 16, without a picture: 68.
inline constexpr size_t kHexLine = 68;

}  // namespace dmabuffs::image
