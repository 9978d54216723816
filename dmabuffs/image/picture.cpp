// SPDX-License-Identifier: MIT
#include "dmabuffs/image/picture.h"

#include <drm_fourcc.h>

#include <algorithm>
#include <vector>

#include "dmabuffs/base/range.h"
#include "dmabuffs/image/words.h"

namespace dmabuffs::image {

namespace {

constexpr uint64_t kGpuStride = 256;
// DRM has 32 bits for a stride. With these no sum here, and no end of a picture, exceeds the 63 bits of a
// file's size.
constexpr uint64_t kMostStride = UINT32_MAX, kMostOffset = uint64_t{1} << 60;

std::string name_of(const Picture& picture, size_t plane) {
  return std::string(picture.format->name) + ": plane " + std::to_string(plane);
}

/// Behind the last row of a plane, whose padding need not be there.
uint64_t end_of(const Picture& picture, size_t plane) {
  return picture.planes[plane].offset + picture.planes[plane].stride * (picture.rows(plane) - 1) +
         picture.row_bytes(plane);
}

/// Bytes: "4096", "0x1000", "4K", "1M".
std::optional<uint64_t> bytes(std::string_view text) {
  constexpr std::string_view kUnits = "KMGTkmgt";
  const size_t unit = text.empty() ? std::string_view::npos : kUnits.find(text.back());
  if (unit == std::string_view::npos) return number_or_hex(text);
  const size_t shift = 10 * (unit % 4 + 1);
  const auto value = number(text.substr(0, text.size() - 1));
  return value && *value <= UINT64_MAX >> shift ? std::optional(*value << shift) : std::nullopt;
}

/// "2048,2048": no more than the format has planes.
Result<std::vector<uint64_t>> numbers(const char* what, const std::string& text, const Format& format) {
  std::vector<uint64_t> all;
  if (text.empty()) return all;
  const std::string said = std::string(what) + " " + in_quotes(text) + ": ";
  for (const std::string_view part : split(text, ',')) {
    const auto value = bytes(part);
    if (!value) return fail(EINVAL, said + "write bytes, one number a plane, such as 2048,1024");
    all.push_back(*value);
  }
  if (all.size() > format.plane_count())
    return fail(EINVAL, said + std::string(format.name) + " has " + std::to_string(format.plane_count()) +
                            (format.plane_count() == 1 ? " plane" : " planes"));
  return all;
}

Result<void> read_size(Picture& picture, const std::string& text) {
  const auto parts = split(text, text.find('X') == std::string::npos ? 'x' : 'X');
  const auto width = number(parts[0]);
  const auto height = parts.size() == 2 ? number(parts[1]) : std::nullopt;
  if (!width || !height)
    return fail(EINVAL, text.empty() ? "no size: write width x height in pixels, such as 1920x1080"
                                     : "size " + in_quotes(text) +
                                           ": write width x height in pixels, such as 1920x1080");
  if (*width == 0 || *height == 0 || *width > kMostPixels || *height > kMostPixels)
    return fail(EINVAL,
                "size " + in_quotes(text) + ": 1 to " + std::to_string(kMostPixels) + " pixels each way");
  picture.width = static_cast<uint32_t>(*width);
  picture.height = static_cast<uint32_t>(*height);
  return {};
}

/// Of a plane beyond the first, from the first one's: for as many pixels.
uint64_t derived_stride(const Picture& picture, size_t plane) {
  const PlaneShape& shape = picture.format->planes[plane];
  const PlaneShape& first = picture.format->planes[0];
  const uint64_t pixels = picture.planes[0].stride / first.bytes * first.horizontal;
  return std::max((pixels + shape.horizontal - 1) / shape.horizontal * shape.bytes, picture.row_bytes(plane));
}

Result<void> lay_out(Picture& picture, const PictureWords& words, Padding padding) {
  const auto strides = TRY(numbers("stride", words.stride, *picture.format));
  const auto offsets = TRY(numbers("offset", words.offset, *picture.format));
  uint64_t end = 0;
  for (size_t i = 0; i < picture.format->plane_count(); ++i) {
    PlaneLayout& plane = picture.planes[i];
    if (i < strides.size())
      plane.stride = strides[i];
    else if (i > 0 && !strides.empty())
      plane.stride = derived_stride(picture, i);
    else
      plane.stride = round_up(picture.row_bytes(i), padding == Padding::Gpu ? kGpuStride : 1);
    if (plane.stride < picture.row_bytes(i))
      return fail(EINVAL, name_of(picture, i) + ": a stride of " + std::to_string(plane.stride) +
                              " bytes is less than the " + std::to_string(picture.row_bytes(i)) +
                              " of a row of " + std::to_string(picture.width) + " pixels");
    if (plane.stride > kMostStride)
      return fail(EINVAL, name_of(picture, i) + ": a stride of " + std::to_string(plane.stride) +
                              " bytes; at most " + std::to_string(kMostStride));
    plane.offset = i < offsets.size() ? offsets[i] : round_up(end, padding == Padding::Gpu ? kPage : 1);
    if (plane.offset > kMostOffset)
      return fail(EINVAL, name_of(picture, i) + ": an offset of " + std::to_string(plane.offset) +
                              " bytes; at most " + std::to_string(kMostOffset));
    end = std::max(end, plane.offset + plane.stride * picture.rows(i));
  }
  return {};
}

/// The first byte of plane `i` that belongs to a row of plane `j`, too. Planes may lie within each other's
/// padding: there are buffers with the rows of U and V side by side.
std::optional<uint64_t> shared_byte(const Picture& picture, size_t i, size_t j) {
  const PlaneLayout& other = picture.planes[j];
  const uint64_t length = picture.row_bytes(i);
  const uint64_t others_length = picture.row_bytes(j);
  for (uint64_t row = 0; row < picture.rows(i); ++row) {
    const uint64_t begin = picture.planes[i].offset + row * picture.planes[i].stride;
    // Of the other's rows the first that ends behind this one's beginning; those after it begin later still.
    const uint64_t first_end = other.offset + others_length;
    const uint64_t k = begin < first_end ? 0 : (begin - first_end) / other.stride + 1;
    if (k >= picture.rows(j)) return std::nullopt;
    const uint64_t others_begin = other.offset + k * other.stride;
    if (others_begin < begin + length) return std::max(begin, others_begin);
  }
  return std::nullopt;
}

Result<void> check_apart(const Picture& picture) {
  for (size_t i = 0; i < picture.format->plane_count(); ++i)
    for (size_t j = 0; j < i; ++j) {
      if (end_of(picture, j) <= picture.planes[i].offset) continue;
      if (const auto byte = shared_byte(picture, i, j))
        return fail(EINVAL, name_of(picture, i) + " at " + std::to_string(picture.planes[i].offset) +
                                " overlaps plane " + std::to_string(j) + ", which lies from " +
                                std::to_string(picture.planes[j].offset) + " to " +
                                std::to_string(end_of(picture, j)) + ": both have byte " +
                                std::to_string(*byte));
    }
  return {};
}

}  // namespace

uint64_t Picture::row_bytes(size_t plane) const {
  const PlaneShape& shape = format->planes[plane];
  return uint64_t{(width + shape.horizontal - 1) / shape.horizontal} * shape.bytes;
}

uint32_t Picture::rows(size_t plane) const {
  const uint32_t vertical = format->planes[plane].vertical;
  return (height + vertical - 1) / vertical;
}

uint64_t Picture::end() const {
  uint64_t end = 0;
  for (size_t i = 0; i < format->plane_count(); ++i) end = std::max(end, end_of(*this, i));
  return end;
}

uint64_t Picture::padded_end() const {
  uint64_t end = 0;
  for (size_t i = 0; i < format->plane_count(); ++i)
    end = std::max(end, planes[i].offset + planes[i].stride * rows(i));
  return end;
}

Result<Picture> make_picture(const PictureWords& words, Padding padding) {
  Picture picture;
  if (words.format.empty()) return fail(EINVAL, "no format: write one such as NV12 or XR24");
  picture.format = TRY(format_named(words.format));
  TRY(read_size(picture, words.size));
  if (!words.modifier.empty()) picture.modifier = TRY(modifier_named(words.modifier));
  TRY(lay_out(picture, words, padding));
  TRY(check_apart(picture));
  return picture;
}

Result<void> check_fits(const Picture& picture, uint64_t size) {
  for (size_t i = 0; i < picture.format->plane_count(); ++i) {
    const uint64_t end = end_of(picture, i);
    if (end > size)
      return fail(EINVAL, name_of(picture, i) + " of " + std::to_string(picture.width) + "x" +
                              std::to_string(picture.height) + " ends at byte " + std::to_string(end) +
                              ", and there are " + std::to_string(size));
  }
  return {};
}

Result<void> check_linear(const Picture& picture) {
  if (picture.modifier == 0) return {};
  const std::string modifier = " (modifier " + modifier_name(picture.modifier) + ")";
  if (picture.modifier == DRM_FORMAT_MOD_INVALID)
    return fail(ENOTSUP, "how its pixels lie is not known" + modifier + "; if in rows, say LINEAR");
  return fail(ENOTSUP,
              (is_compressed(picture.modifier) ? "its pixels are compressed" : "its pixels are tiled") +
                  modifier + "; have its maker write it linear");
}

std::string to_text(const Picture& picture) {
  const size_t planes = picture.format->plane_count();
  std::string text = std::string(picture.format->name) + ":" + std::to_string(picture.width) + "x" +
                     std::to_string(picture.height);
  for (size_t i = 0; i < planes; ++i)
    text += (i == 0 ? ":stride=" : ",") + std::to_string(picture.planes[i].stride);
  for (size_t i = 0; i < planes; ++i)
    text += (i == 0 ? ":offset=" : ",") + std::to_string(picture.planes[i].offset);
  // As a number: names are for people, and libdrm knows more of them each year.
  if (picture.modifier != 0) text += ":modifier=" + std::to_string(picture.modifier);
  return text;
}

Result<PictureWords> words_from(std::string_view text) {
  const auto parts = split(text, ':');
  if (parts.size() < 2)
    return fail(EINVAL, in_quotes(text) + ": write a format and a size, such as NV12:1920x1080");
  PictureWords words{.format = std::string(parts[0]), .size = std::string(parts[1])};
  for (size_t i = 2; i < parts.size(); ++i) {
    const size_t equals = parts[i].find('=');
    const std::string_view key = parts[i].substr(0, equals);
    std::string* word = key == "stride"     ? &words.stride
                        : key == "offset"   ? &words.offset
                        : key == "modifier" ? &words.modifier
                                            : nullptr;
    const std::string_view value = equals == std::string_view::npos ? "" : parts[i].substr(equals + 1);
    if (word == nullptr || value.empty() || !word->empty())
      return fail(EINVAL,
                  in_quotes(text) + ": " + in_quotes(parts[i]) + " is not one stride=, offset= or modifier=");
    *word = value;
  }
  return words;
}

std::string to_text(const PictureWords& words) {
  std::string text = words.format + ":" + words.size;
  if (!words.stride.empty()) text += ":stride=" + words.stride;
  if (!words.offset.empty()) text += ":offset=" + words.offset;
  if (!words.modifier.empty()) text += ":modifier=" + words.modifier;
  return text;
}

Result<Picture> from_text(std::string_view text) {
  return make_picture(TRY(words_from(text)), Padding::None);
}

}  // namespace dmabuffs::image
