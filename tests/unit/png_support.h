// SPDX-License-Identifier: MIT
/// PNGs as libpng reads them.
#pragma once
#include <png.h>

#include "image_support.h"

namespace image_test {

/// What libpng reads of it, as RGBA, and whether it says that there is alpha.
struct Decoded {
  uint32_t width = 0, height = 0;
  bool alpha = false;
  std::vector<uint8_t> rgba;
};

inline Decoded read_png(std::span<const std::byte> file) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  REQUIRE(png_image_begin_read_from_memory(&image, file.data(), file.size()) != 0);
  Decoded read{image.width, image.height, (image.format & PNG_FORMAT_FLAG_ALPHA) != 0, {}};
  image.format = PNG_FORMAT_RGBA;
  read.rgba.resize(PNG_IMAGE_SIZE(image));
  REQUIRE(png_image_finish_read(&image, nullptr, read.rgba.data(), 0, nullptr) != 0);
  return read;
}

inline std::vector<uint8_t> random_rgba(uint32_t width, uint32_t height) {
  std::mt19937 random(width);
  std::vector<uint8_t> rgba(size_t{width} * height * 4);
  for (uint8_t& byte : rgba) byte = static_cast<uint8_t>(random());
  return rgba;
}

/// That the file is a PNG of these pixels, of which the alpha counts only with `alpha`.
inline void check_png(std::span<const std::byte> file, uint32_t width, uint32_t height, bool alpha,
                      std::vector<uint8_t> rgba) {
  const Decoded read = read_png(file);
  CHECK(read.width == width);
  CHECK(read.height == height);
  CHECK(read.alpha == alpha);
  for (size_t i = 3; !alpha && i < rgba.size(); i += 4) rgba[i] = 255;
  CHECK(read.rgba == rgba);
}

}  // namespace image_test
