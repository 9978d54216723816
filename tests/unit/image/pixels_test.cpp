// SPDX-License-Identifier: MIT
#include "dmabuffs/image/pixels.h"

#include <cmath>

#include "image_support.h"

using namespace image_test;

namespace {

constexpr std::pair<uint32_t, uint32_t> kSizes[] = {{1, 1}, {2, 2},   {3, 3},    {5, 7},
                                                    {1, 9}, {641, 3}, {1025, 2}, {2050, 1}};

/// One row of R8 or raw Bayer and so on from bytes.
Bytes bytes_of(std::initializer_list<int> values) {
  Bytes bytes;
  for (const int value : values) bytes.push_back(static_cast<std::byte>(value));
  return bytes;
}

/// A single pixel of NV24.
Pixel shown(int y, int u, int v, const Look& look) {
  const Picture picture = picture_of(format_of("NV24"), 1, 1);
  return pixel_at(picture, rgba_of(picture, bytes_of({y, u, v}), look), 0, 0);
}

/// In the bits that a channel has, to 8.
uint32_t to_8_bits(uint32_t value, const Channel& channel) {
  if (channel.bits >= 8) return value >> (channel.bits - 8);
  return static_cast<uint32_t>(std::lround(value * 255.0 / ((1 << channel.bits) - 1)));
}

}  // namespace

TEST_CASE("pixels: Y U V of every format, by the formulas") {
  for (const Format& format : formats()) {
    if (format.model != Model::Yuv) continue;
    for (const auto& [width, height] : kSizes) {
      const Picture picture = picture_of(format, width, height, 11);
      const Bytes bytes = noise(picture, height);
      for (const Matrix matrix : {Matrix::Bt601, Matrix::Bt709, Matrix::Bt2020}) {
        for (const Range range : {Range::Limited, Range::Full}) {
          const Look look{matrix, range};
          const auto rgba = rgba_of(picture, bytes, look);
          double worst = 0;
          int not_opaque = 0;
          for (uint32_t y = 0; y < height; ++y) {
            for (uint32_t x = 0; x < width; ++x) {
              const auto expected = exact(picture, bytes, look, x, y);
              const Pixel pixel = pixel_at(picture, rgba, x, y);
              for (size_t i = 0; i < 3; ++i) worst = std::max(worst, std::abs(pixel[i] - expected[i]));
              not_opaque += pixel[3] != 255;
            }
          }
          INFO(format.name << " " << width << "x" << height);
          CHECK(worst < 0.5 + 0.125);  // rounded, and what the fixed point adds
          CHECK(not_opaque == 0);
        }
      }
    }
  }
}

TEST_CASE("pixels: no Y U V, however far off, is more than rounded") {
  const Picture picture = picture_of(format_of("YU24"), 18, 18);
  for (const Matrix matrix : {Matrix::Bt601, Matrix::Bt709, Matrix::Bt2020}) {
    for (const Range range : {Range::Limited, Range::Full}) {
      double worst = 0;
      for (int luma = 0; luma < 256; luma += 15) {
        Bytes bytes(picture.end(), static_cast<std::byte>(luma));
        for (uint32_t i = 0; i < 18 * 18; ++i) {
          bytes[picture.planes[1].offset + i] = static_cast<std::byte>(i / 18 * 15);
          bytes[picture.planes[2].offset + i] = static_cast<std::byte>(i % 18 * 15);
        }
        const Look look{matrix, range};
        const auto rgba = rgba_of(picture, bytes, look);
        for (uint32_t y = 0; y < 18; ++y)
          for (uint32_t x = 0; x < 18; ++x)
            for (size_t i = 0; i < 3; ++i)
              worst = std::max(
                  worst, std::abs(pixel_at(picture, rgba, x, y)[i] - exact(picture, bytes, look, x, y)[i]));
      }
      CHECK(worst < 0.5 + 0.125);
    }
  }
}

TEST_CASE("pixels: white, black and the colour bars are what they are") {
  for (const Matrix matrix : {Matrix::Bt601, Matrix::Bt709, Matrix::Bt2020}) {
    CHECK(shown(235, 128, 128, {matrix}) == Pixel{255, 255, 255, 255});
    CHECK(shown(16, 128, 128, {matrix}) == Pixel{0, 0, 0, 255});
    CHECK(shown(255, 128, 128, {matrix, Range::Full}) == Pixel{255, 255, 255, 255});
    for (int grey = 0; grey < 256; ++grey) {
      const auto value = static_cast<uint8_t>(grey);
      CHECK(shown(grey, 128, 128, {matrix, Range::Full}) == Pixel{value, value, value, 255});
    }
  }
  CHECK(shown(81, 90, 240, {Matrix::Bt601}) == Pixel{254, 0, 0, 255});  // 254.4
  CHECK(shown(145, 54, 34, {Matrix::Bt601}) == Pixel{0, 255, 1, 255});
  CHECK(shown(41, 240, 110, {Matrix::Bt601}) == Pixel{0, 0, 255, 255});
  CHECK(shown(63, 102, 240, {Matrix::Bt709}) == Pixel{255, 1, 0, 255});
  CHECK(shown(32, 240, 118, {Matrix::Bt709}) == Pixel{1, 0, 255, 255});
}

TEST_CASE("pixels: R G B of every format") {
  for (const Format& format : formats()) {
    if (format.model != Model::Rgb) continue;
    for (const auto& [width, height] : kSizes) {
      const Picture picture = picture_of(format, width, height, 7);
      const Bytes bytes = noise(picture, width);
      const auto rgba = rgba_of(picture, bytes, {});
      size_t wrong = 0;
      for (uint32_t y = 0; y < height; ++y)
        for (uint32_t x = 0; x < width; ++x)
          for (size_t i = 0; i < 4; ++i) {
            const Channel& channel = format.channels[i];
            const uint32_t expected =
                channel.name == 0 ? 255 : to_8_bits(sample(picture, bytes, i, x, y), channel);
            wrong += pixel_at(picture, rgba, x, y)[i] != expected;
          }
      INFO(format.name << " " << width << "x" << height);
      CHECK(wrong == 0);
    }
  }
}

TEST_CASE("pixels: grey, and one channel alone") {
  for (const Format& format : formats()) {
    for (size_t i = 0; i < format.channels.size(); ++i) {
      const Channel& channel = format.channels[i];
      if (channel.name == 0) continue;
      for (const auto& [width, height] : kSizes) {
        const Picture picture = picture_of(format, width, height, 2);
        const Bytes bytes = noise(picture, width + i);
        const auto rgba = rgba_of(picture, bytes, {.channel = channel.name});
        size_t wrong = 0;
        for (uint32_t y = 0; y < height; ++y)
          for (uint32_t x = 0; x < width; ++x) {
            const auto value = static_cast<uint8_t>(to_8_bits(sample(picture, bytes, i, x, y), channel));
            wrong += pixel_at(picture, rgba, x, y) != Pixel{value, value, value, 255};
          }
        INFO(format.name << " " << channel.name << " " << width << "x" << height);
        CHECK(wrong == 0);
        if (format.model == Model::Grey) CHECK(rgba == rgba_of(picture, bytes, {}));
      }
    }
  }
}

TEST_CASE("pixels: each cell of raw Bayer is one colour") {
  const Picture picture = picture_of(format_of("RGGB"), 5, 3);
  const Bytes bytes = bytes_of({10, 20, 30, 40, 50,  //
                                62, 70, 82, 90, 99,  //
                                1, 2, 3, 4, 5});
  const auto rgba = rgba_of(picture, bytes, {});
  const Pixel left{10, 41, 70, 255}, right{30, 61, 90, 255};
  for (uint32_t y = 0; y < 3; ++y) {
    const std::array<Pixel, 5> expected{left, left, right, right, right};
    for (uint32_t x = 0; x < 5; ++x) CHECK(pixel_at(picture, rgba, x, y) == expected[x]);
  }
  const Bytes cell = bytes_of({100, 40, 60, 200});
  const auto first = [&](std::string_view name) {
    const Picture small = picture_of(format_of(name), 2, 2);
    return pixel_at(small, rgba_of(small, cell, {}), 1, 1);
  };
  CHECK(first("RGGB") == Pixel{100, 50, 200, 255});
  CHECK(first("BA81") == Pixel{200, 50, 100, 255});
  CHECK(first("GRBG") == Pixel{40, 150, 60, 255});
  CHECK(first("GBRG") == Pixel{60, 150, 40, 255});
  // A line or column alone has no whole cell.
  const auto alone = [&](uint32_t width, uint32_t height) {
    const Picture small = picture_of(format_of("RGGB"), width, height);
    return pixel_at(small, rgba_of(small, bytes_of({100, 40}), {}), 0, 0);
  };
  CHECK(alone(2, 1) == Pixel{100, 70, 40, 255});
  CHECK(alone(1, 2) == Pixel{100, 70, 40, 255});
  CHECK(alone(1, 1) == Pixel{100, 100, 100, 255});
}

TEST_CASE("pixels: raw Bayer of every format and size") {
  for (const Format& format : formats()) {
    if (format.model != Model::Bayer) continue;
    for (const auto& [width, height] : kSizes) {
      if (width < 2 || height < 2) continue;
      const Picture picture = picture_of(format, width, height, 6);
      const Bytes bytes = noise(picture, width);
      const auto rgba = rgba_of(picture, bytes, {});
      size_t wrong = 0;
      for (uint32_t y = 0; y < height; ++y)
        for (uint32_t x = 0; x < width; ++x) {
          const uint32_t left = std::min(x / 2, width / 2 - 1) * 2, top = std::min(y / 2, height / 2 - 1) * 2;
          uint32_t red = 0, green = 0, blue = 0;
          for (uint32_t i = 0; i < 4; ++i) {
            const uint32_t value = sample(picture, bytes, 0, left + i % 2, top + i / 2);
            (format.bayer[i] == 'R' ? red : format.bayer[i] == 'B' ? blue : green) += value;
          }
          const int shift = format.channels[0].bits - 8;
          const auto byte = [&](uint32_t value) { return static_cast<uint8_t>(value >> shift); };
          wrong += pixel_at(picture, rgba, x, y) != Pixel{byte(red), byte(green / 2), byte(blue), 255};
        }
      INFO(format.name << " " << width << "x" << height);
      CHECK(wrong == 0);
    }
  }
}

TEST_CASE("a look: what is usual, and what was said") {
  const Picture sd = picture_of(format_of("NV12"), 1280, 719), hd = picture_of(format_of("NV12"), 1280, 720);
  REQUIRE(make_look(sd, "", "", ""));
  CHECK(make_look(sd, "", "", "")->matrix == Matrix::Bt601);
  CHECK(make_look(hd, "", "", "")->matrix == Matrix::Bt709);
  CHECK(make_look(hd, "", "", "")->range == Range::Limited);
  CHECK(make_look(hd, "", "", "")->channel == 0);
  CHECK(make_look(hd, "bt601", "", "")->matrix == Matrix::Bt601);
  CHECK(make_look(sd, "bt709", "", "")->matrix == Matrix::Bt709);
  CHECK(make_look(sd, "bt2020", "full", "v")->matrix == Matrix::Bt2020);
  CHECK(make_look(sd, "bt2020", "full", "v")->range == Range::Full);
  CHECK(make_look(sd, "bt2020", "limited", "v")->range == Range::Limited);
  CHECK(make_look(sd, "bt2020", "full", "v")->channel == 'V');
  CHECK(make_look(sd, "", "", "Y")->channel == 'Y');
}

TEST_CASE("a look: what can't be is told with what can") {
  const Picture picture = picture_of(format_of("XR24"), 8, 8);
  const auto message = [&](std::string_view colorspace, std::string_view range, std::string_view channel) {
    const auto look = make_look(picture, colorspace, range, channel);
    REQUIRE_FALSE(look);
    CHECK(look.error().code == EINVAL);
    return look.error().message;
  };
  CHECK(message("", "", "V") == "--channel V: XR24 has R G B");
  CHECK(message("", "", "A") == "--channel A: XR24 has R G B");
  CHECK(message("", "", "RG") == "--channel RG: XR24 has R G B");
  CHECK(message("", "", std::string_view("\0", 1)).ends_with(": XR24 has R G B"));
  CHECK(message("bt2100", "", "") == "--colorspace bt2100: write bt601, bt709 or bt2020");
  CHECK(message("", "tv", "") == "--range tv: write limited or full");
}
