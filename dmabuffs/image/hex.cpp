// SPDX-License-Identifier: MIT
#include "dmabuffs/image/hex.h"

#include <algorithm>
#include <array>
#include <optional>
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

size_t digits_of(uint64_t offset) {
  size_t digits = kPlaceDigits;
  while (digits < kBytes && offset >> (4 * digits) != 0) ++digits;
  return digits;
}

void add_place(std::string& text, uint64_t offset) {
  size_t digits = digits_of(offset);
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

/// Says in which row of which plane a byte lies, if in any; always as wide.
class Margin {
 public:
  explicit Margin(const Picture& picture) : picture_(picture) {
    for (size_t i = 0; i < picture.format->plane_count(); ++i) {
      name_ = std::max(name_, picture.format->plane_name(i).size());
      row_ = std::max(row_, std::to_string(picture.rows(i) - 1).size());
    }
  }
  [[nodiscard]] size_t width() const { return 2 + name_ + 1 + row_; }
  void add(std::string& text, uint64_t offset) const {
    for (size_t i = 0; i < picture_.format->plane_count(); ++i) {
      const PlaneLayout& plane = picture_.planes[i];
      if (offset < plane.offset || plane.stride == 0) continue;
      const uint64_t row = (offset - plane.offset) / plane.stride;
      // What pads a row may hold another plane's.
      if (row >= picture_.rows(i) || (offset - plane.offset) % plane.stride >= picture_.row_bytes(i))
        continue;
      return add(text, picture_.format->plane_name(i), std::to_string(row));
    }
    add(text, "", "-");
  }

 private:
  void add(std::string& text, std::string_view name, std::string_view row) const {
    text.append("  ").append(name).append(name_ - name.size() + 1 + row_ - row.size(), ' ').append(row);
  }

  const Picture& picture_;
  size_t name_ = 0, row_ = 1;
};

/// Of a whole line whose offset has so many digits.
uint64_t line_length(size_t digits, const Picture* picture) {
  return kHexLine - kPlaceDigits + digits + (picture != nullptr ? Margin(*picture).width() : 0);
}

}  // namespace

std::string hex_lines(std::span<const std::byte> bytes, uint64_t offset, const Picture* picture) {
  std::optional<Margin> margin;
  if (picture != nullptr) margin.emplace(*picture);
  std::string text;
  text.reserve((bytes.size() / kBytes + 1) * line_length(digits_of(offset + bytes.size()), picture));
  while (!bytes.empty()) {
    const auto line = bytes.first(std::min(bytes.size(), kBytes));
    add_place(text, offset);
    add_bytes(text, line);
    if (margin) {
      text.append(kBytes - line.size(), ' ');
      margin->add(text, offset);
    }
    text += '\n';
    offset += line.size();
    bytes = bytes.subspan(line.size());
  }
  return text;
}

uint64_t hex_place(uint64_t offset, const Picture* picture) {
  uint64_t place = 0, from = 0;
  for (size_t digits = kPlaceDigits; from < offset; ++digits) {
    const uint64_t to = digits < kBytes ? std::min(offset, uint64_t{1} << (4 * digits)) : offset;
    place += (to - from) / kBytes * line_length(digits, picture);
    from = to;
  }
  return place;
}

uint64_t hex_size(uint64_t bytes, const Picture* picture) {
  const uint64_t rest = bytes % kBytes, size = hex_place(bytes - rest, picture);
  if (rest == 0) return size;
  // Behind a short line without a margin nothing fills it up.
  const uint64_t whole = line_length(digits_of(bytes - rest), picture);
  return size + whole - (picture != nullptr ? 0 : kBytes - rest);
}

uint64_t hex_offset_at(uint64_t place, const Picture* picture) {
  uint64_t offset = 0;
  for (size_t digits = kPlaceDigits;; ++digits) {
    const uint64_t length = line_length(digits, picture);
    const uint64_t lines = digits < kBytes ? ((uint64_t{1} << (4 * digits)) - offset) / kBytes : UINT64_MAX;
    if (place / length < lines) return offset + place / length * kBytes;
    place -= lines * length;
    offset += lines * kBytes;
  }
}

}  // namespace dmabuffs::image
