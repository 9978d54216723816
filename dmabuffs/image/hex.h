// SPDX-License-Identifier: MIT
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "dmabuffs/image/picture.h"

namespace dmabuffs::image {

/// Lines of 16 bytes as xxd(1) prints them, of bytes that stand at `offset`; with a picture the plane and the
/// row that each line begins in stand behind it ("  Y  12", "  UV  3"; "      -" for what is in none), as
/// wide as the widest of that picture.
std::string hex_lines(std::span<const std::byte> bytes, uint64_t offset, const Picture* picture);

/// The text of a whole file from its start on: where in it the line begins that shows `offset`, a multiple of
/// 16; and how long it is when the file has `bytes`.
uint64_t hex_place(uint64_t offset, const Picture* picture);
uint64_t hex_size(uint64_t bytes, const Picture* picture);
/// The last multiple of 16 whose line begins at `place` in the text, or before it.
uint64_t hex_offset_at(uint64_t place, const Picture* picture);

/// Bytes of a line of 16, without a picture, below 4 GiB.
inline constexpr size_t kHexLine = 68;

}  // namespace dmabuffs::image
