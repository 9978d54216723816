// SPDX-License-Identifier: MIT
/// What the tests of pictures share.
#pragma once
#include <algorithm>
#include <array>
#include <cstring>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "catch.h"
#include "dmabuffs/image/band.h"
#include "dmabuffs/image/picture.h"
#include "dmabuffs/image/pixels.h"

namespace image_test {

using namespace dmabuffs;
using namespace dmabuffs::image;
using Bytes = std::vector<std::byte>;
using Pixel = std::array<uint8_t, 4>;

inline const Format& format_of(std::string_view name) {
  const auto all = formats();
  const auto found = std::ranges::find(all, name, &Format::name);
  REQUIRE(found != all.end());
  return *found;
}

/// Its rows padded by `padding` bytes, its planes apart by as many.
inline Picture picture_of(const Format& format, uint32_t width, uint32_t height, uint64_t padding = 0) {
  Picture picture{.format = &format, .width = width, .height = height};
  uint64_t end = padding;
  for (size_t i = 0; i < format.plane_count(); ++i) {
    picture.planes[i] = {end, picture.row_bytes(i) + padding};
    end += picture.planes[i].stride * picture.rows(i) + padding;
  }
  return picture;
}

/// As many bytes as the picture takes, and no more: a sanitizer sees a read beyond.
inline Bytes noise(const Picture& picture, uint32_t seed) {
  std::mt19937 random(seed);
  Bytes bytes(picture.end());
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
  return bytes;
}

inline ReadAt reader_of(const Bytes& bytes) {
  return [&bytes](uint64_t offset, std::span<std::byte> to) -> Result<void> {
    REQUIRE(offset + to.size() <= bytes.size());
    std::memcpy(to.data(), bytes.data() + offset, to.size());
    return {};
  };
}

/// All of it in one band, where it is.
inline Band whole(const Picture& picture, const Bytes& bytes) {
  Band band{.first = 0, .rows = picture.height};
  for (size_t i = 0; i < picture.format->plane_count(); ++i) {
    const PlaneLayout& plane = picture.planes[i];
    band.planes[i] =
        std::span(bytes).subspan(plane.offset, plane.stride * (picture.rows(i) - 1) + picture.row_bytes(i));
    band.strides[i] = plane.stride;
  }
  return band;
}

inline std::vector<uint8_t> rgba_of(const Picture& picture, const Bytes& bytes, const Look& look) {
  std::vector<uint8_t> rgba(size_t{picture.width} * picture.height * 4);
  to_rgba(picture, whole(picture, bytes), look, rgba);
  return rgba;
}

inline Pixel pixel_at(const Picture& picture, std::span<const uint8_t> rgba, uint32_t x, uint32_t y) {
  Pixel pixel;
  std::memcpy(pixel.data(), &rgba[(size_t{y} * picture.width + x) * 4], 4);
  return pixel;
}

/// A sample as the table of channels has it.
inline uint32_t sample(const Picture& picture, const Bytes& bytes, size_t channel, uint32_t x, uint32_t y) {
  const Channel& of = picture.format->channels[channel];
  const PlaneShape& shape = picture.format->planes[of.plane];
  const PlaneLayout& plane = picture.planes[of.plane];
  uint64_t block = 0;
  std::memcpy(&block,
              &bytes[plane.offset + y / shape.vertical * plane.stride + x / shape.horizontal * shape.bytes],
              shape.bytes);
  return block >> (of.shift + x % shape.horizontal * of.step) & ((1U << of.bits) - 1);
}

/// R G B of a YUV pixel by the standards' formulas, in 255ths; below 0 and above 255 where no colour is
/// meant.
inline std::array<double, 3> unclamped(const Picture& picture, const Bytes& bytes, const Look& look,
                                       uint32_t x, uint32_t y) {
  const int bits = picture.format->channels[0].bits;
  const double one = 1 << (bits - 8), most = (1 << bits) - 1, middle = 1 << (bits - 1);
  const bool full = look.range == Range::Full;
  const double luma = full ? sample(picture, bytes, 0, x, y) / most
                           : (sample(picture, bytes, 0, x, y) - 16 * one) / (219 * one);
  const double cb = (sample(picture, bytes, 1, x, y) - middle) / (full ? most : 224 * one);
  const double cr = (sample(picture, bytes, 2, x, y) - middle) / (full ? most : 224 * one);
  const double kr = look.matrix == Matrix::Bt601 ? 0.299 : look.matrix == Matrix::Bt709 ? 0.2126 : 0.2627;
  const double kb = look.matrix == Matrix::Bt601 ? 0.114 : look.matrix == Matrix::Bt709 ? 0.0722 : 0.0593;
  const double red = luma + 2 * (1 - kr) * cr, blue = luma + 2 * (1 - kb) * cb;
  const double green = (luma - kr * red - kb * blue) / (1 - kr - kb);
  return {red * 255, green * 255, blue * 255};
}

/// The same as a screen can show it, not rounded.
inline std::array<double, 3> exact(const Picture& picture, const Bytes& bytes, const Look& look, uint32_t x,
                                   uint32_t y) {
  auto rgb = unclamped(picture, bytes, look, x, y);
  for (double& value : rgb) value = std::clamp(value, 0.0, 255.0);
  return rgb;
}

}  // namespace image_test
