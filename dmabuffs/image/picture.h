// SPDX-License-Identifier: MIT
/// What picture is in a run of bytes: format, size in pixels, and where its planes lie.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "dmabuffs/base/result.h"
#include "dmabuffs/image/format.h"

namespace dmabuffs::image {

struct PlaneLayout {
  uint64_t offset = 0, stride = 0;  ///< bytes
  bool operator==(const PlaneLayout&) const = default;
};

struct Picture {
  const Format* format = nullptr;
  uint32_t width = 0, height = 0;       ///< pixels, at least 1 and at most kMostPixels each
  std::array<PlaneLayout, 3> planes{};  ///< as many as the format has
  uint64_t modifier = 0;                ///< 0: linear

  bool operator==(const Picture&) const = default;
  /// Bytes of a row of pixels in this plane, without what pads it to the stride.
  [[nodiscard]] uint64_t row_bytes(size_t plane) const;
  [[nodiscard]] uint32_t rows(size_t plane) const;
  /// Bytes that it takes, from 0 to behind the last row of its last plane (whose padding need not be there).
  [[nodiscard]] uint64_t end() const;
  /// The same with the padding of each plane's last row.
  [[nodiscard]] uint64_t padded_end() const;
};

inline constexpr uint32_t kMostPixels = 65536;  ///< in a row, and rows

/// What was said of a picture: by options, by a line of text. Nothing in it need be possible.
struct PictureWords {
  std::string format;    ///< see format_named()
  std::string size;      ///< "1920x1080"
  std::string stride;    ///< bytes, one for all planes' first (others follow) or one a plane: "2048,2048"
  std::string offset;    ///< bytes, one a plane
  std::string modifier;  ///< see modifier_named(); empty: linear
  [[nodiscard]] bool empty() const {
    return format.empty() && size.empty() && stride.empty() && offset.empty() && modifier.empty();
  }
};

/// How rows are padded where nothing was said of strides.
enum class Padding {
  None,  ///< as files have them
  Gpu,   ///< to 256 bytes, planes on pages: what GPUs import
};

/// EINVAL, naming the plane and the numbers: a word that can't be read, a size of 0 or above kMostPixels, a
/// stride below the row's bytes, planes that overlap. A modifier is kept as it is (see check_shown()).
Result<Picture> make_picture(const PictureWords& words, Padding padding);
/// Whether all of it lies in `size` bytes. EINVAL, naming the plane and the numbers.
Result<void> check_fits(const Picture& picture, uint64_t size);
/// Whether its pixels can be read: ENOTSUP for tiled and compressed ones, by the modifier's name.
Result<void> check_linear(const Picture& picture);

/// "NV12:1920x1080:stride=2048,2048:offset=0,2211840": all of it in one word, as the attribute
/// user.dmabuffs.format has it. from_text() takes what is missing as make_picture() with Padding::None.
std::string to_text(const Picture& picture);
Result<Picture> from_text(std::string_view text);
/// The same of what was said only.
std::string to_text(const PictureWords& words);
Result<PictureWords> words_from(std::string_view text);

/// What a name such as "golden_1920x1080_nv12.yuv" says of a file of `size` bytes. Nothing: the name does not
/// say a format and a size in pixels, or the bytes are not whole pictures of them.
std::optional<Picture> guess(std::string_view name, uint64_t size);

}  // namespace dmabuffs::image
