// SPDX-License-Identifier: MIT
/// From a format's bytes to what a screen shows: 8 bits of red, green, blue and alpha.
#pragma once
#include <cstdint>
#include <span>
#include <string_view>

#include "dmabuffs/base/result.h"
#include "dmabuffs/image/band.h"
#include "dmabuffs/image/picture.h"

namespace dmabuffs::image {

enum class Matrix { Bt601, Bt709, Bt2020 };
enum class Range { Limited, Full };

/// How a picture is to be shown.
struct Look {
  Matrix matrix = Matrix::Bt601;
  Range range = Range::Limited;
  char channel = 0;  ///< this channel alone, in grey; 0: all
};

/// What was said of it, each "" for the usual: BT.601 below 720 lines, else BT.709; limited range.
/// `colorspace`: bt601, bt709, bt2020; `range`: limited, full; `channel`: one that the format has. EINVAL.
Result<Look> make_look(const Picture& picture, std::string_view colorspace, std::string_view range,
                       std::string_view channel);

/// Turns a band into RGBA, 4 bytes a pixel, rows without padding; `to` has band.rows * picture.width * 4
/// bytes. Formats without alpha get 255. Of more than 8 bits all count in Y U V; grey and R G B are cut to
/// their upper 8. Colours with less resolution than the luma are repeated over the pixels they stand for, not
/// interpolated. Of raw Bayer each 2 x 2 cell is one colour, which an odd line or column at the end repeats.
void to_rgba(const Picture& picture, const Band& band, const Look& look, std::span<uint8_t> to);

}  // namespace dmabuffs::image
