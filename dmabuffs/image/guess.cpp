// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cstdint>
#include <vector>

#include "dmabuffs/base/range.h"
#include "dmabuffs/image/picture.h"
#include "dmabuffs/image/words.h"

namespace dmabuffs::image {

namespace {

bool is_letter_or_digit(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

std::vector<std::string_view> words_of(std::string_view name) {
  std::vector<std::string_view> words;
  while (!name.empty()) {
    const auto end = std::ranges::find_if_not(name, is_letter_or_digit);
    const auto length = static_cast<size_t>(end - name.begin());
    if (length > 0) words.push_back(name.substr(0, length));
    name.remove_prefix(std::min(length + 1, name.size()));
  }
  return words;
}

/// "1920x1080". Whether it is a possible size make_picture() says.
bool is_size(std::string_view word) {
  const auto digits = [](std::string_view part) {
    return !part.empty() && std::ranges::all_of(part, [](char c) { return c >= '0' && c <= '9'; });
  };
  const size_t x = word.find('x');
  return x != std::string_view::npos && digits(word.substr(0, x)) && digits(word.substr(x + 1));
}

/// The file is one picture: to its last pixel, with the padding of its last row, or to the end of that page.
bool is_all_of(const Picture& picture, uint64_t size) {
  const size_t last = picture.format->plane_count() - 1;
  const uint64_t padded = picture.planes[last].offset + picture.planes[last].stride * picture.rows(last);
  return size == picture.end() || size == padded || size == round_up(padded, kPage);
}

std::optional<Picture> fitting(std::string_view format, std::string_view pixels, uint64_t size) {
  const PictureWords words{.format = std::string(format), .size = std::string(pixels)};
  const auto tight = make_picture(words, Padding::None);
  if (tight && size > 0 && size % tight->end() == 0) return *tight;
  const auto padded = make_picture(words, Padding::Gpu);
  if (padded && is_all_of(*padded, size)) return *padded;
  return std::nullopt;
}

}  // namespace

std::optional<Picture> guess(std::string_view name, uint64_t size) {
  name.remove_prefix(name.rfind('/') + 1);  // a folder's name says nothing of it; without one from 0 on
  std::vector<std::string_view> sizes, formats;
  const auto words = words_of(name);
  // ".yuv" says no more than that there is Y, U and V: what most programs write under that name.
  if (!words.empty() && same_word(words.back(), "yuv")) formats.emplace_back("YU12");
  for (const std::string_view word : words) {
    if (is_size(word))
      sizes.push_back(word);
    else if (find_format(word) != nullptr)
      formats.push_back(word);
  }
  // What stands later in a name is nearer to what the file is: "grey_wolf_640x480_nv12.raw".
  std::ranges::reverse(sizes);
  std::ranges::reverse(formats);
  for (const std::string_view format : formats)
    for (const std::string_view pixels : sizes)
      if (const auto picture = fitting(format, pixels, size)) return picture;
  return std::nullopt;
}

}  // namespace dmabuffs::image
