// SPDX-License-Identifier: MIT
#include "dmabuffs/image/format.h"

#include <drm_fourcc.h>

#include <algorithm>
#include <vector>

namespace dmabuffs::image {

namespace {

using Channels = std::array<Channel, 4>;

/// Packed colours, their lowest bits in a little-endian pixel of `bytes` bytes; `alpha` -1: none.
Format rgb(uint32_t fourcc, std::string_view name, std::string_view aliases, uint8_t bytes, uint8_t bits,
           std::array<int, 4> shifts) {
  Format format{.fourcc = fourcc, .name = name, .aliases = aliases, .model = Model::Rgb};
  format.planes[0] = {bytes, 1, 1};
  constexpr std::string_view kNames = "RGBA";
  for (size_t i = 0; i < kNames.size(); ++i)
    if (shifts[i] >= 0) format.channels[i] = {kNames[i], 0, static_cast<uint8_t>(shifts[i]), bits, 0};
  return format;
}

/// Y in one plane and both colours in the next: NV12 and its relatives. Samples are `bits` in the upper bits
/// of 1 or 2 bytes.
Format semi_planar(uint32_t fourcc, std::string_view name, std::string_view aliases, uint8_t bits,
                   uint8_t horizontal, uint8_t vertical, bool v_first = false) {
  const uint8_t bytes = bits > 8 ? 2 : 1;
  const auto low = static_cast<uint8_t>(bytes * 8 - bits);
  const auto high = static_cast<uint8_t>(bytes * 8 + low);
  return {.fourcc = fourcc,
          .name = name,
          .aliases = aliases,
          .model = Model::Yuv,
          .planes = {{{bytes, 1, 1}, {static_cast<uint8_t>(2 * bytes), horizontal, vertical}, {}}},
          .channels = {{{'Y', 0, low, bits, 0},
                        {'U', 1, v_first ? high : low, bits, 0},
                        {'V', 1, v_first ? low : high, bits, 0},
                        {}}}};
}

/// Three planes of bytes.
Format planar(uint32_t fourcc, std::string_view name, std::string_view aliases, uint8_t horizontal,
              uint8_t vertical, bool v_first = false) {
  const PlaneShape colour{1, horizontal, vertical};
  const uint8_t u = v_first ? 2 : 1;
  const uint8_t v = v_first ? 1 : 2;
  return {.fourcc = fourcc,
          .name = name,
          .aliases = aliases,
          .model = Model::Yuv,
          .planes = {{{1, 1, 1}, colour, colour}},
          .channels = {{{'Y', 0, 0, 8, 0}, {'U', u, 0, 8, 0}, {'V', v, 0, 8, 0}, {}}}};
}

/// Two pixels in four bytes; where their samples begin in it.
Format packed_422(uint32_t fourcc, std::string_view name, std::string_view aliases, uint8_t y, uint8_t u,
                  uint8_t v) {
  return {.fourcc = fourcc,
          .name = name,
          .aliases = aliases,
          .model = Model::Yuv,
          .planes = {{{4, 2, 1}, {}, {}}},
          .channels = {{{'Y', 0, y, 8, 16}, {'U', 0, u, 8, 0}, {'V', 0, v, 8, 0}, {}}}};
}

/// One sample a pixel, in the lower bits.
Format single(uint32_t fourcc, std::string_view name, std::string_view aliases, uint8_t bits,
              std::string_view bayer = {}) {
  return {.fourcc = fourcc,
          .name = name,
          .aliases = aliases,
          .model = bayer.empty() ? Model::Grey : Model::Bayer,
          .planes = {{{static_cast<uint8_t>(bits > 8 ? 2 : 1), 1, 1}, {}, {}}},
          .channels = {{{'Y', 0, 0, bits, 0}, {}, {}, {}}},
          .bayer = bayer};
}

constexpr uint32_t code(const char (&letters)[5]) {
  return fourcc_code(letters[0], letters[1], letters[2], letters[3]);
}

std::vector<Format> make_formats() {
  return {
      // Aliases: FFmpeg's names (which are in the order of bytes), V4L2's four letters, GStreamer's.
      rgb(DRM_FORMAT_XRGB8888, "XR24", "bgr0 bgrx", 4, 8, {16, 8, 0, -1}),
      rgb(DRM_FORMAT_ARGB8888, "AR24", "bgra", 4, 8, {16, 8, 0, 24}),
      rgb(DRM_FORMAT_XBGR8888, "XB24", "rgb0 rgbx", 4, 8, {0, 8, 16, -1}),
      rgb(DRM_FORMAT_ABGR8888, "AB24", "rgba", 4, 8, {0, 8, 16, 24}),
      rgb(DRM_FORMAT_RGBX8888, "RX24", "0bgr xbgr", 4, 8, {24, 16, 8, -1}),
      rgb(DRM_FORMAT_RGBA8888, "RA24", "abgr", 4, 8, {24, 16, 8, 0}),
      rgb(DRM_FORMAT_BGRX8888, "BX24", "0rgb xrgb", 4, 8, {8, 16, 24, -1}),
      rgb(DRM_FORMAT_BGRA8888, "BA24", "argb", 4, 8, {8, 16, 24, 0}),
      rgb(DRM_FORMAT_RGB888, "RG24", "bgr24 bgr3 bgr", 3, 8, {16, 8, 0, -1}),
      rgb(DRM_FORMAT_BGR888, "BG24", "rgb24 rgb3 rgb", 3, 8, {0, 8, 16, -1}),
      {.fourcc = DRM_FORMAT_RGB565,
       .name = "RG16",
       .aliases = "rgb565 rgb565le rgbp",
       .model = Model::Rgb,
       .planes = {{{2, 1, 1}, {}, {}}},
       .channels = {{{'R', 0, 11, 5, 0}, {'G', 0, 5, 6, 0}, {'B', 0, 0, 5, 0}, {}}}},
      rgb(DRM_FORMAT_XRGB2101010, "XR30", "x2rgb10le x2rgb10", 4, 10, {20, 10, 0, -1}),
      rgb(DRM_FORMAT_XBGR2101010, "XB30", "x2bgr10le x2bgr10", 4, 10, {0, 10, 20, -1}),
      semi_planar(DRM_FORMAT_NV12, "NV12", "", 8, 2, 2),
      semi_planar(DRM_FORMAT_NV21, "NV21", "", 8, 2, 2, true),
      semi_planar(DRM_FORMAT_NV16, "NV16", "", 8, 2, 1),
      semi_planar(DRM_FORMAT_NV61, "NV61", "", 8, 2, 1, true),
      semi_planar(DRM_FORMAT_NV24, "NV24", "", 8, 1, 1),
      semi_planar(DRM_FORMAT_P010, "P010", "p010le", 10, 2, 2),
      planar(DRM_FORMAT_YUV420, "YU12", "i420 iyuv yuv420p yuv420", 2, 2),
      planar(DRM_FORMAT_YVU420, "YV12", "yvu420", 2, 2, true),
      planar(DRM_FORMAT_YUV422, "YU16", "yuv422p 422p", 2, 1),
      planar(DRM_FORMAT_YUV444, "YU24", "yuv444p", 1, 1),
      packed_422(DRM_FORMAT_YUYV, "YUYV", "yuyv422 yuy2", 0, 8, 24),
      packed_422(DRM_FORMAT_YVYU, "YVYU", "yvyu422", 0, 24, 8),
      packed_422(DRM_FORMAT_UYVY, "UYVY", "uyvy422", 8, 0, 16),
      packed_422(DRM_FORMAT_VYUY, "VYUY", "vyuy422", 8, 16, 0),
      single(DRM_FORMAT_R8, "R8", "grey gray gray8 y800 y8", 8),
      single(DRM_FORMAT_R10, "R10", "gray10le y10", 10),
      single(DRM_FORMAT_R12, "R12", "gray12le y12", 12),
      single(DRM_FORMAT_R16, "R16", "gray16le y16", 16),
      single(code("RGGB"), "RGGB", "srggb8 bayer_rggb8", 8, "RGGB"),
      single(code("BA81"), "BA81", "sbggr8 bayer_bggr8 bggr", 8, "BGGR"),
      single(code("GBRG"), "GBRG", "sgbrg8 bayer_gbrg8", 8, "GBRG"),
      single(code("GRBG"), "GRBG", "sgrbg8 bayer_grbg8", 8, "GRBG"),
      single(code("RG10"), "RG10", "srggb10 rggb10le", 10, "RGGB"),
      single(code("BG10"), "BG10", "sbggr10 bggr10le", 10, "BGGR"),
      single(code("GB10"), "GB10", "sgbrg10 gbrg10le", 10, "GBRG"),
      single(code("BA10"), "BA10", "sgrbg10 grbg10le", 10, "GRBG"),
      single(code("RG12"), "RG12", "srggb12 rggb12le", 12, "RGGB"),
      single(code("BG12"), "BG12", "sbggr12 bggr12le", 12, "BGGR"),
      single(code("GB12"), "GB12", "sgbrg12 gbrg12le", 12, "GBRG"),
      // SRGGB16 and SGRBG12 have the four letters of RGB565 and BGRA4444, and are left out.
      single(code("BYR2"), "BYR2", "sbggr16 bggr16le", 16, "BGGR"),
      single(code("GB16"), "GB16", "sgbrg16 gbrg16le", 16, "GBRG"),
      single(code("GR16"), "GR16", "sgrbg16 grbg16le", 16, "GRBG"),
  };
}

}  // namespace

size_t Format::plane_count() const {
  return static_cast<size_t>(std::ranges::count_if(planes, [](const PlaneShape& p) { return p.bytes > 0; }));
}

uint32_t Format::horizontal() const {
  return std::ranges::max(planes, {}, &PlaneShape::horizontal).horizontal;
}

uint32_t Format::vertical() const {
  return std::ranges::max(planes, {}, &PlaneShape::vertical).vertical;
}

std::string Format::plane_name(size_t plane) const {
  std::string name;
  for (const Channel& channel : channels)
    if (channel.name != 0 && channel.plane == plane) name += channel.name;
  return name;
}

std::span<const Format> formats() {
  static const std::vector<Format> all = make_formats();
  return all;
}

const Format* find_format(uint32_t fourcc) {
  const auto all = formats();
  const auto found = std::ranges::find(all, fourcc, &Format::fourcc);
  return found == all.end() ? nullptr : &*found;
}

}  // namespace dmabuffs::image
