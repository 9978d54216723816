// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cmath>

#include "dmabuffs/image/pixels_parts.h"

namespace dmabuffs::image {

namespace {

// Sums have 5 bits behind the point: 16 bits hold the -293 to 551 that they come to, and the CPU does most of
// them at once in that size. Each product is cut by less than 1/32, so a sum is off by less than 1/8.
constexpr int kFraction = 5;
constexpr int kHalf = 1 << (kFraction - 1);

/// What red and blue weigh in the luma.
struct Weights {
  double red, blue;
};

Weights weights_of(Matrix matrix) {
  switch (matrix) {
    case Matrix::Bt709:
      return {0.2126, 0.0722};
    case Matrix::Bt2020:
      return {0.2627, 0.0593};
    case Matrix::Bt601:
      break;
  }
  return {0.299, 0.114};
}

/// For product(): of `factor` with a sample shifted left by `shift`.
int16_t fixed(double factor, int shift) {
  return static_cast<int16_t>(std::lround(std::ldexp(factor, 16 + kFraction - shift)));
}

inline int16_t product(int16_t sample, int16_t factor) {
  return static_cast<int16_t>((int32_t{sample} * factor) >> 16);
}

inline uint8_t rounded(int16_t sum) {
  return static_cast<uint8_t>(std::clamp<int16_t>(static_cast<int16_t>(sum >> kFraction), 0, 255));
}

}  // namespace

YuvToRgb::YuvToRgb(const Format& format, const Look& look) {
  const int bits = format.channels[0].bits;
  const int extra = bits - 8;
  const bool limited = look.range == Range::Limited;
  // One sample's step in steps of the result.
  const double luma = limited ? std::ldexp(255.0 / 219, -extra) : 255.0 / ((1 << bits) - 1);
  const double chroma = limited ? std::ldexp(255.0 / 224, -extra) : luma;
  black_ = limited ? 16 << extra : 0;
  grey_ = 1 << (bits - 1);
  luma_shift_ = 15 - bits;
  chroma_shift_ = 16 - bits;
  const auto [red, blue] = weights_of(look.matrix);
  const double green = 1 - red - blue;
  const double v = 2 * (1 - red) * chroma;
  const double u = 2 * (1 - blue) * chroma;
  factors_ = {.y = fixed(luma, luma_shift_),
              .red_v = fixed(v, chroma_shift_),
              .green_u = fixed(-u * blue / green, chroma_shift_),
              .green_v = fixed(-v * red / green, chroma_shift_),
              .blue_u = fixed(u, chroma_shift_)};
}

void YuvToRgb::operator()(const Part& part) const {
  const Samples ys(part, part.format.channels[0]);
  const Samples us(part, part.format.channels[1]);
  const Samples vs(part, part.format.channels[2]);
  const size_t pixels = part.pixels();
  const Factors factors = factors_;
  const int black = black_, grey = grey_, luma_shift = luma_shift_, chroma_shift = chroma_shift_;
  const uint16_t* __restrict y_of = ys.data();
  const uint16_t* __restrict u_of = us.data();
  const uint16_t* __restrict v_of = vs.data();
  uint8_t* __restrict to = part.to.data();
  for (size_t i = 0; i < pixels; ++i) {
    const auto y = static_cast<int16_t>((y_of[i] - black) << luma_shift);
    const auto u = static_cast<int16_t>((u_of[i] - grey) << chroma_shift);
    const auto v = static_cast<int16_t>((v_of[i] - grey) << chroma_shift);
    const auto luma = static_cast<int16_t>(product(y, factors.y) + kHalf);
    to[4 * i] = rounded(static_cast<int16_t>(luma + product(v, factors.red_v)));
    to[4 * i + 1] =
        rounded(static_cast<int16_t>(luma + product(u, factors.green_u) + product(v, factors.green_v)));
    to[4 * i + 2] = rounded(static_cast<int16_t>(luma + product(u, factors.blue_u)));
    to[4 * i + 3] = 255;
  }
}

}  // namespace dmabuffs::image
