// SPDX-License-Identifier: MIT
#include "dmabuffs/image/format.h"

#include <drm_fourcc.h>
#include <linux/videodev2.h>

#include <set>

#include "catch.h"

using namespace dmabuffs::image;

TEST_CASE("formats: each stands in the list once, and is found by its fourcc") {
  std::set<uint32_t> seen;
  for (const Format& format : formats()) {
    INFO(format.name);
    CHECK(seen.insert(format.fourcc).second);
    CHECK(find_format(format.fourcc) == &format);
  }
  CHECK(find_format(uint32_t{DRM_FORMAT_NV15}) == nullptr);
  CHECK(find_format(uint32_t{0}) == nullptr);
}

TEST_CASE("formats: those that the documentation promises are there") {
  for (const uint32_t fourcc :
       {DRM_FORMAT_XRGB8888, DRM_FORMAT_ARGB8888, DRM_FORMAT_XBGR8888, DRM_FORMAT_ABGR8888,
        DRM_FORMAT_RGBX8888, DRM_FORMAT_BGRX8888, DRM_FORMAT_RGB565,   DRM_FORMAT_RGB888,
        DRM_FORMAT_BGR888,   DRM_FORMAT_R8,       DRM_FORMAT_R16,      DRM_FORMAT_NV12,
        DRM_FORMAT_NV21,     DRM_FORMAT_NV16,     DRM_FORMAT_YUV420,   DRM_FORMAT_YVU420,
        DRM_FORMAT_YUYV,     DRM_FORMAT_UYVY,     DRM_FORMAT_P010,     DRM_FORMAT_XRGB2101010}) {
    INFO(fourcc);
    CHECK(find_format(fourcc) != nullptr);
  }
}

TEST_CASE("formats: raw Bayer has V4L2's fourccs, with its order of colours and bits") {
  const auto is = [](uint32_t fourcc, std::string_view bayer, unsigned bits) {
    const Format* format = find_format(fourcc);
    return format != nullptr && format->bayer == bayer && format->channels[0].bits == bits;
  };
  CHECK(is(V4L2_PIX_FMT_SBGGR8, "BGGR", 8));
  CHECK(is(V4L2_PIX_FMT_SGBRG8, "GBRG", 8));
  CHECK(is(V4L2_PIX_FMT_SGRBG8, "GRBG", 8));
  CHECK(is(V4L2_PIX_FMT_SRGGB8, "RGGB", 8));
  CHECK(is(V4L2_PIX_FMT_SBGGR10, "BGGR", 10));
  CHECK(is(V4L2_PIX_FMT_SGBRG10, "GBRG", 10));
  CHECK(is(V4L2_PIX_FMT_SGRBG10, "GRBG", 10));
  CHECK(is(V4L2_PIX_FMT_SRGGB10, "RGGB", 10));
  CHECK(is(V4L2_PIX_FMT_SBGGR12, "BGGR", 12));
  CHECK(is(V4L2_PIX_FMT_SGBRG12, "GBRG", 12));
  CHECK(is(V4L2_PIX_FMT_SRGGB12, "RGGB", 12));
  CHECK(is(V4L2_PIX_FMT_SBGGR16, "BGGR", 16));
  CHECK(is(V4L2_PIX_FMT_SGBRG16, "GBRG", 16));
  CHECK(is(V4L2_PIX_FMT_SGRBG16, "GRBG", 16));
}

TEST_CASE("formats: the name of each is its fourcc's letters") {
  for (const Format& format : formats()) {
    std::string letters;
    for (int shift = 0; shift < 32; shift += 8) letters += static_cast<char>(format.fourcc >> shift & 0xff);
    INFO(format.name);
    CHECK(letters == std::string(format.name) + std::string(4 - format.name.size(), ' '));
  }
}

TEST_CASE("formats: each sample lies within its plane's block, and no two share a bit") {
  for (const Format& format : formats()) {
    INFO(format.name);
    std::array<std::set<unsigned>, 3> taken;
    size_t channels = 0;
    for (const Channel& channel : format.channels) {
      if (channel.name == 0) continue;
      ++channels;
      REQUIRE(channel.plane < format.plane_count());
      const PlaneShape& shape = format.planes[channel.plane];
      const unsigned samples = channel.step == 0 ? 1 : shape.horizontal;
      for (unsigned i = 0; i < samples; ++i)
        for (unsigned bit = 0; bit < channel.bits; ++bit) {
          const unsigned at = channel.shift + i * channel.step + bit;
          CHECK(at < shape.bytes * 8U);
          CHECK(taken.at(channel.plane).insert(at).second);
        }
    }
    CHECK(channels == (format.model == Model::Grey || format.model == Model::Bayer ? 1
                       : format.has_alpha()                                        ? 4
                                                                                   : 3));
    CHECK((format.model == Model::Bayer) == !format.bayer.empty());
  }
}

TEST_CASE("formats: planes follow each other, and blocks are of 1, 2 or 4 pixels") {
  for (const Format& format : formats()) {
    INFO(format.name);
    CHECK(format.plane_count() >= 1);
    CHECK(format.planes[0].bytes > 0);
    if (format.planes[2].bytes > 0) CHECK(format.planes[1].bytes > 0);
    CHECK((format.horizontal() == 1 || format.horizontal() == 2));
    CHECK((format.vertical() == 1 || format.vertical() == 2));
  }
}
