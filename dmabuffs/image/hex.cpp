// SPDX-License-Identifier: MIT
#include "dmabuffs/image/hex.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace dmabuffs::image {

namespace {

constexpr size_t kBytes = 16;       // of a line
constexpr size_t kPlaceDigits = 8;  // at least
constexpr std::string_view kDigits = "0123456789abcdef";

/// Of each byte its two digits, and what stands for it at the end of the line.
struct Shown {
  std::array<char, 2> digits{};
  char letter = '.';
};

constexpr std::array<Shown, 256> make_table() {
  std::array<Shown, 256> table{};
  for (size_t i = 0; i < table.size(); ++i) {
    table[i].digits = {kDigits[i >> 4], kDigits[i & 15]};
    if (i >= 0x20 && i < 0x7f) table[i].letter = static_cast<char>(i);
  }
  return table;
}
constexpr auto kTable = make_table();

void add_place(std::string& text, uint64_t offset) {
  size_t digits = kPlaceDigits;
  while (digits < kBytes && offset >> (4 * digits) != 0) ++digits;
  while (digits-- > 0) text += kDigits[offset >> (4 * digits) & 15];
  text += ": ";
}

void add_bytes(std::string& text, std::span<const std::byte> bytes) {
  std::array<char, kBytes / 2 * 5 + 1 + kBytes> line;
  line.fill(' ');
  char* letter = line.data() + kBytes / 2 * 5 + 1;
  for (size_t i = 0; i < bytes.size(); ++i) {
    const Shown& shown = kTable[static_cast<uint8_t>(bytes[i])];
    // Pairs of bytes have a space between them.
    char* digits = line.data() + i / 2 * 5 + i % 2 * 2;
    digits[0] = shown.digits[0];
    digits[1] = shown.digits[1];
    *letter++ = shown.letter;
  }
  text.append(line.data(), letter);
}

/// Says in which row of which plane a byte lies, if in any.
void add_margin(std::string& text, const Picture& picture, uint64_t offset) {
  for (size_t i = 0; i < picture.format->plane_count(); ++i) {
    const PlaneLayout& plane = picture.planes[i];
    if (offset < plane.offset || plane.stride == 0) continue;
    const uint64_t row = (offset - plane.offset) / plane.stride;
    // What pads a row may hold another plane's.
    if (row >= picture.rows(i) || (offset - plane.offset) % plane.stride >= picture.row_bytes(i)) continue;
    text += "  " + picture.format->plane_name(i) + " " + std::to_string(row);
    return;
  }
  text += "  -";
}

}  // namespace

std::string hex_lines(std::span<const std::byte> bytes, uint64_t offset, const Picture* picture) {
  constexpr size_t kMargin = 12;  // usually less
  std::string text;
  text.reserve((bytes.size() / kBytes + 1) * (kHexLine + (picture != nullptr ? kMargin : 0)));
  while (!bytes.empty()) {
    const auto line = bytes.first(std::min(bytes.size(), kBytes));
    add_place(text, offset);
    add_bytes(text, line);
    if (picture != nullptr) {
      text.append(kBytes - line.size(), ' ');
      add_margin(text, *picture, offset);
    }
    text += '\n';
    offset += line.size();
    bytes = bytes.subspan(line.size());
  }
  return text;
}

}  // namespace dmabuffs::image
