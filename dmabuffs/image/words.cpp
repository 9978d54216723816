// SPDX-License-Identifier: MIT
#include "dmabuffs/image/words.h"

#include <algorithm>
#include <charconv>

namespace dmabuffs::image {

namespace {

constexpr size_t kMostShown = 40;

constexpr char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

std::optional<uint64_t> number(std::string_view text, int base) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

bool same_word(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, {}, lower, lower);
}

std::string in_quotes(std::string_view word) {
  std::string shown(word.substr(0, kMostShown));
  for (char& c : shown)
    if (static_cast<unsigned char>(c) < ' ' || c == '\x7f') c = '?';
  return "'" + shown + (word.size() > kMostShown ? "...'" : "'");
}

std::optional<uint64_t> number(std::string_view text) {
  return number(text, 10);
}

std::optional<uint64_t> number_or_hex(std::string_view text) {
  return same_word(text.substr(0, 2), "0x") ? number(text.substr(2), 16) : number(text);
}

std::vector<std::string_view> split(std::string_view text, char at) {
  std::vector<std::string_view> parts;
  for (;;) {
    const size_t end = text.find(at);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

}  // namespace dmabuffs::image
