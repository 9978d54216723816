// SPDX-License-Identifier: MIT
#include <algorithm>
#include <array>
#include <optional>
#include <vector>

#include "dmabuffs/base/edits.h"
#include "dmabuffs/image/drm_names.h"
#include "dmabuffs/image/format.h"
#include "dmabuffs/image/words.h"

namespace dmabuffs::image {

namespace {

constexpr std::string_view kDrmPrefix = "DRM_FORMAT_", kV4l2Prefix = "V4L2_PIX_FMT_";
constexpr size_t kLongestName = 32;

/// As fourccs are often printed, filled up to four letters by spaces.
std::string_view without_spaces_behind(std::string_view word) {
  return word.substr(0, word.find_last_not_of(' ') + 1);
}

std::string_view to_word(std::string_view name) {
  const std::string_view word = without_spaces_behind(name);
  if (same_word(word.substr(0, kDrmPrefix.size()), kDrmPrefix)) return word.substr(kDrmPrefix.size());
  if (!same_word(word.substr(0, kV4l2Prefix.size()), kV4l2Prefix)) return word;
  const std::string_view rest = word.substr(kV4l2Prefix.size());
  // The one of these names that V4L2 gives to another format, of 16 bits a pixel.
  return same_word(rest, "YUV444") ? word : rest;
}

/// Formats of cameras that are no rows of pixels, by V4L2's four letters (linux/videodev2.h).
struct Packed {
  std::string_view name;
  const char* what;
};
constexpr auto kPacked = std::to_array<Packed>({
    {"pBAA", "raw Bayer of 10 bits, four pixels in five bytes"},
    {"pGAA", "raw Bayer of 10 bits, four pixels in five bytes"},
    {"pgAA", "raw Bayer of 10 bits, four pixels in five bytes"},
    {"pRAA", "raw Bayer of 10 bits, four pixels in five bytes"},
    {"pBCC", "raw Bayer of 12 bits, two pixels in three bytes"},
    {"pGCC", "raw Bayer of 12 bits, two pixels in three bytes"},
    {"pgCC", "raw Bayer of 12 bits, two pixels in three bytes"},
    {"pRCC", "raw Bayer of 12 bits, two pixels in three bytes"},
    {"MJPG", "compressed pictures"},
    {"JPEG", "compressed pictures"},
    {"H264", "compressed video"},
    {"HEVC", "compressed video"},
});

std::string letters(uint32_t fourcc) {
  std::string all;
  for (int shift = 0; shift < 32; shift += 8) all += static_cast<char>(fourcc >> shift & 0xff);
  return std::string(without_spaces_behind(all));
}

/// A name that was looked for, and what it is a name of.
struct Named {
  std::string_view name;
  const Format* format = nullptr;
};

/// Every name of a format that can be shown: first all four letters, so that they go before aliases.
std::vector<Named> make_names() {
  std::vector<Named> names;
  for (const Format& format : formats()) names.push_back({format.name, &format});
  for (const Format& format : formats())
    for (const std::string_view alias : split(format.aliases, ' '))
      if (!alias.empty()) names.push_back({alias, &format});
  for (const DrmName& drm : drm_names())
    if (const Format* format = find_format(drm.fourcc)) names.push_back({drm.name, format});
  return names;
}

const std::vector<Named>& all_names() {
  static const std::vector<Named> names = make_names();
  return names;
}

/// Nothing: no name is so near that it may have been meant.
std::optional<std::string_view> nearest(std::string_view word) {
  if (word.empty() || word.size() > kLongestName) return std::nullopt;
  size_t fewest = std::max(size_t{1}, word.size() / 4) + 1;
  std::optional<std::string_view> found;
  for (const Named& named : all_names()) {
    const size_t edits = edits_between(word, named.name);
    if (edits >= fewest || edits >= named.name.size()) continue;
    fewest = edits;
    found = named.name;
  }
  return found;
}

bool is_drm_format(std::string_view word) {
  return std::ranges::any_of(drm_names(), [&](const DrmName& drm) {
    return same_word(word, drm.name) || same_word(word, letters(drm.fourcc));
  });
}

}  // namespace

const Format* find_format(std::string_view name) {
  const std::string_view word = to_word(name);
  const auto& names = all_names();
  auto found = std::ranges::find(names, word, &Named::name);
  if (found == names.end())
    found = std::ranges::find_if(names, [&](const Named& named) { return same_word(named.name, word); });
  return found == names.end() ? nullptr : found->format;
}

Result<const Format*> format_named(std::string_view name) {
  if (const Format* found = find_format(name)) return found;
  const std::string_view word = to_word(name);
  const std::string format = "format " + in_quotes(name) + ": ";
  const std::string list = " (dmabuffs view --help lists those that can be shown)";
  const auto packed =
      std::ranges::find_if(kPacked, [&](const Packed& one) { return same_word(one.name, word); });
  if (packed != kPacked.end())
    return fail(EINVAL, format + packed->what +
                            ", which can't be shown; have the camera or a program make it one that can" +
                            list);
  if (is_drm_format(word)) return fail(EINVAL, format + "a format of DRM that can't be shown yet" + list);
  if (const auto near = nearest(word))
    return fail(EINVAL, format + "not known; the nearest is " + std::string(*near) + list);
  return fail(EINVAL, format + "not known" + list);
}

}  // namespace dmabuffs::image
