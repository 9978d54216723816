// SPDX-License-Identifier: MIT
// FFmpeg's swscale as the judge of to_rgba(): another's arithmetic, and another's idea of each format's
// bytes.
#include <cstdlib>
#include <memory>

#include "dmabuffs/image/pixels.h"
#include "image_support.h"
extern "C" {
#include <libavutil/opt.h>
#include <libavutil/pixfmt.h>
#include <libswscale/swscale.h>
}

using namespace image_test;

namespace {

struct Judged {
  std::string_view name;
  AVPixelFormat as;
  int tolerance;
  bool swap = false;   ///< its U and V planes are the other way round
  bool lines = false;  ///< each line by itself
};

// White of RG16 is 248 to swscale, as if 5 bits were the upper ones of 8, where 31 * 255 / 31 is 255: so up
// to 7 off. Of more than 8 bits it rounds what we cut. It does not read NV16, but knows NV12, of which that
// is lines.
const Judged kJudged[] = {
    {"XR24", AV_PIX_FMT_BGR0, 0},
    {"AR24", AV_PIX_FMT_BGRA, 0},
    {"XB24", AV_PIX_FMT_RGB0, 0},
    {"AB24", AV_PIX_FMT_RGBA, 0},
    {"RX24", AV_PIX_FMT_0BGR, 0},
    {"RA24", AV_PIX_FMT_ABGR, 0},
    {"BX24", AV_PIX_FMT_0RGB, 0},
    {"BA24", AV_PIX_FMT_ARGB, 0},
    {"RG24", AV_PIX_FMT_BGR24, 0},
    {"BG24", AV_PIX_FMT_RGB24, 0},
    {"RG16", AV_PIX_FMT_RGB565LE, 7},
    {"XR30", AV_PIX_FMT_X2RGB10LE, 1},
    {"XB30", AV_PIX_FMT_X2BGR10LE, 1},
    {"NV12", AV_PIX_FMT_NV12, 1},
    {"NV21", AV_PIX_FMT_NV21, 1},
    {"NV16", AV_PIX_FMT_NV12, 1, false, true},
    {"NV61", AV_PIX_FMT_NV21, 1, false, true},
    {"NV24", AV_PIX_FMT_NV24, 1},
    {"P010", AV_PIX_FMT_P010LE, 1},
    {"YU12", AV_PIX_FMT_YUV420P, 1},
    {"YV12", AV_PIX_FMT_YUV420P, 1, true},
    {"YU16", AV_PIX_FMT_YUV422P, 1},
    {"YU24", AV_PIX_FMT_YUV444P, 1},
    {"YUYV", AV_PIX_FMT_YUYV422, 1},
    {"YVYU", AV_PIX_FMT_YVYU422, 1},
    {"UYVY", AV_PIX_FMT_UYVY422, 1},
    {"R8", AV_PIX_FMT_GRAY8, 0},
    {"R10", AV_PIX_FMT_GRAY10LE, 1},
    {"R12", AV_PIX_FMT_GRAY12LE, 1},
    {"R16", AV_PIX_FMT_GRAY16LE, 1},
};

uint32_t round_to(uint32_t value, uint32_t unit) {
  return (value + unit - 1) / unit * unit;
}

/// What swscale makes of it, and how many pixels are from one row to the next.
struct Verdict {
  std::vector<uint8_t> rgba;
  uint32_t width;
};

Verdict judge(const Judged& judged, const Picture& picture, const Bytes& bytes, const Look& look) {
  // It would spread the colours of an odd width over all of it; so it is told the even one, of which the last
  // pixels are what follows the rows.
  const uint32_t width = round_to(picture.width, picture.format->horizontal());
  const uint32_t height = round_to(picture.height, picture.format->vertical());
  const int lines = static_cast<int>(judged.lines ? 1 : height);
  const std::unique_ptr<SwsContext, decltype(&sws_freeContext)> context(sws_alloc_context(), sws_freeContext);
  const bool full = look.range == Range::Full || picture.format->model != Model::Yuv;
  const auto set = [&](const char* name, int64_t value) {
    REQUIRE(av_opt_set_int(context.get(), name, value, 0) == 0);
  };
  set("srcw", width);
  set("dstw", width);
  set("srch", lines);
  set("dsth", lines);
  set("src_format", judged.as);
  set("dst_format", AV_PIX_FMT_RGBA);
  // Colours repeated, not interpolated, and no short cuts.
  set("sws_flags", SWS_POINT | SWS_ACCURATE_RND | SWS_FULL_CHR_H_INT | SWS_FULL_CHR_H_INP | SWS_BITEXACT);
  REQUIRE(sws_init_context(context.get(), nullptr, nullptr) >= 0);
  const int* matrix = sws_getCoefficients(look.matrix == Matrix::Bt601   ? SWS_CS_ITU601
                                          : look.matrix == Matrix::Bt709 ? SWS_CS_ITU709
                                                                         : SWS_CS_BT2020);
  sws_setColorspaceDetails(context.get(), matrix, full, matrix, 1, 0, 1 << 16, 1 << 16);
  Verdict verdict{std::vector<uint8_t>(size_t{width} * height * 4 + 64), width};
  for (uint32_t y = 0; y < height; y += static_cast<uint32_t>(lines)) {
    const uint8_t* planes[4] = {};
    int strides[4] = {};
    for (size_t i = 0; i < picture.format->plane_count(); ++i) {
      const PlaneLayout& plane = picture.planes[judged.swap && i > 0 ? 3 - i : i];
      planes[i] = reinterpret_cast<const uint8_t*>(&bytes[plane.offset + y * plane.stride]);
      strides[i] = static_cast<int>(plane.stride);
    }
    uint8_t* const to[4] = {&verdict.rgba[size_t{y} * width * 4]};
    const int stride[4] = {static_cast<int>(width * 4)};
    REQUIRE(sws_scale(context.get(), planes, strides, 0, lines, to, stride) == lines);
  }
  return verdict;
}

/// Samples that change little from one to the next, in rows and columns.
Bytes gradient(const Picture& picture) {
  Bytes bytes(picture.end());
  for (size_t i = 0; i < picture.format->plane_count(); ++i) {
    const PlaneLayout& plane = picture.planes[i];
    for (uint64_t row = 0; row < picture.rows(i); ++row)
      for (uint64_t at = 0; at < picture.row_bytes(i); ++at)
        bytes[plane.offset + row * plane.stride + at] =
            static_cast<std::byte>((at / 16 + row) * (i + 1) + at % 4 * 60);
  }
  return bytes;
}

/// Bits above a grey sample's are none of it, but swscale expects zeros there.
void clear_above(const Format& format, Bytes& bytes) {
  if (format.model != Model::Grey || format.channels[0].bits <= 8) return;
  for (size_t i = 1; i < bytes.size(); i += 2)
    bytes[i] &= static_cast<std::byte>((1 << (format.channels[0].bits - 8)) - 1);
}

/// From here on, which no camera makes (Y and a colour both at their ends), swscale's own arithmetic
/// overflows, and it shows 0.
constexpr double kReach = 511;

/// By how much the two differ at most. Beyond swscale's reach the formulas are the judge.
int worst_of(const Picture& picture, const Bytes& bytes, const Look& look, std::span<const uint8_t> ours,
             const Verdict& verdict) {
  int worst = 0;
  for (uint32_t y = 0; y < picture.height; ++y) {
    const uint8_t* our = &ours[size_t{y} * picture.width * 4];
    const uint8_t* other = &verdict.rgba[size_t{y} * verdict.width * 4];
    for (uint32_t x = 0; x < picture.width; ++x, our += 4, other += 4) {
      if (std::memcmp(our, other, 4) == 0) continue;
      for (size_t i = 0; i < 4; ++i) {
        int off = std::abs(our[i] - other[i]);
        if (off > 2 && i < 3 && picture.format->model == Model::Yuv &&
            unclamped(picture, bytes, look, x, y)[i] > kReach)
          off = 255 - our[i];
        worst = std::max(worst, off);
      }
    }
  }
  return worst;
}

/// Of a picture of this size, with these bytes, in each look that makes a difference.
void compare_with_judge(const Judged& judged, const Picture& picture, const Bytes& bytes) {
  const bool colours = picture.format->model == Model::Yuv;
  for (const Matrix matrix : {Matrix::Bt601, Matrix::Bt709, Matrix::Bt2020}) {
    for (const Range range : {Range::Limited, Range::Full}) {
      if (!colours && (matrix != Matrix::Bt601 || range != Range::Full)) continue;
      const Look look{matrix, range};
      INFO(judged.name << " " << picture.width << "x" << picture.height << ", matrix "
                       << static_cast<int>(matrix) << ", range " << static_cast<int>(range));
      const auto ours = rgba_of(picture, bytes, look);
      CHECK(worst_of(picture, bytes, look, ours, judge(judged, picture, bytes, look)) <= judged.tolerance);
    }
  }
}

}  // namespace

TEST_CASE("pixels: swscale shows the same") {
  for (const Judged& judged : kJudged) {
    const Format& format = format_of(judged.name);
    for (const auto& [width, height] :
         {std::pair{1U, 1U}, {2U, 2U}, {3U, 3U}, {5U, 7U}, {16384U, 1U}, {1U, 300U}, {641U, 479U}}) {
      const Picture picture = picture_of(format, width, height, 64);
      for (const bool smooth : {false, true}) {
        Bytes bytes = smooth ? gradient(picture) : noise(picture, width);
        clear_above(format, bytes);
        compare_with_judge(judged, picture, bytes);
      }
    }
  }
}
