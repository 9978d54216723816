// SPDX-License-Identifier: MIT
/// How the pixels of each model become RGBA, a part of a row at a time: what pixels.cpp puts together.
#pragma once
#include <array>
#include <cstdint>
#include <span>

#include "dmabuffs/image/band.h"
#include "dmabuffs/image/picture.h"
#include "dmabuffs/image/pixels.h"
#include "dmabuffs/image/samples.h"

namespace dmabuffs::image {

/// Pixels that are converted together: their samples stay in the fastest cache.
inline constexpr uint32_t kPart = 1024;

/// Some pixels of a row.
struct Part {
  const Format& format;
  const Band& band;
  uint32_t row = 0;            ///< from the band's first
  uint32_t first = 0;          ///< a multiple of kPart
  std::span<uint8_t> to = {};  ///< 4 bytes a pixel, at most kPart of them

  [[nodiscard]] size_t pixels() const { return to.size() / 4; }
};

/// The samples of a part.
class Samples {
 public:
  Samples(const Part& part, const Channel& channel) {
    read_samples(part.format, channel, row_in(part.band, part.format, channel.plane, part.row), part.first,
                 std::span(values_).first(part.pixels()));
  }
  [[nodiscard]] const uint16_t* data() const { return values_.data(); }

 private:
  std::array<uint16_t, kPart> values_;
};

/// Y U V, by the exact formulas in fixed point.
class YuvToRgb {
 public:
  YuvToRgb(const Format& format, const Look& look);
  void operator()(const Part& part) const;

 private:
  struct Factors {
    int16_t y, red_v, green_u, green_v, blue_u;
  };
  Factors factors_{};
  int black_ = 0, grey_ = 0;               ///< the samples that mean none
  int luma_shift_ = 0, chroma_shift_ = 0;  ///< to the upper bits of an int16_t
};

/// R G B and perhaps A.
void rgb_to_rgba(const Part& part);
/// One channel in grey.
void grey_to_rgba(const Part& part, const Channel& channel);
/// Raw Bayer: a whole row, which `to` has 4 bytes a pixel for.
void bayer_to_rgba(const Format& format, const Band& band, uint32_t row, std::span<uint8_t> to);

}  // namespace dmabuffs::image
