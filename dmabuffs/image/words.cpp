// SPDX-License-Identifier: MIT
#include "dmabuffs/image/words.h"

#include <algorithm>

namespace dmabuffs::image {

namespace {

constexpr size_t kMostShown = 40;

constexpr char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
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
