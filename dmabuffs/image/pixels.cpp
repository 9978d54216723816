// SPDX-License-Identifier: MIT
#include "dmabuffs/image/pixels.h"

#include <algorithm>
#include <cctype>
#include <string>

#include "dmabuffs/image/pixels_parts.h"

namespace dmabuffs::image {

namespace {

constexpr uint32_t kHdLines = 720;  ///< from here on video is BT.709

const Channel* find_channel(const Format& format, char name) {
  const auto found = std::ranges::find(format.channels, name, &Channel::name);
  return found == format.channels.end() ? nullptr : &*found;
}

Result<char> channel_named(const Format& format, std::string_view name) {
  if (name.size() == 1) {
    const auto upper = static_cast<char>(std::toupper(static_cast<unsigned char>(name[0])));
    if (upper != 0 && find_channel(format, upper) != nullptr) return upper;
  }
  std::string has;
  for (const Channel& channel : format.channels)
    if (channel.name != 0) has += std::string(" ") + channel.name;
  return fail(EINVAL, "--channel " + std::string(name) + ": " + std::string(format.name) + " has" + has);
}

/// Calls `convert` with each part of each row.
template <class Convert>
void in_parts(const Picture& picture, const Band& band, std::span<uint8_t> to, const Convert& convert) {
  for (uint32_t row = 0; row < band.rows; ++row) {
    for (uint32_t first = 0; first < picture.width; first += kPart) {
      const uint32_t pixels = std::min(kPart, picture.width - first);
      const size_t at = (size_t{row} * picture.width + first) * 4;
      convert(Part{*picture.format, band, row, first, to.subspan(at, size_t{pixels} * 4)});
    }
  }
}

}  // namespace

Result<Look> make_look(const Picture& picture, std::string_view colorspace, std::string_view range,
                       std::string_view channel) {
  Look look{.matrix = picture.height < kHdLines ? Matrix::Bt601 : Matrix::Bt709};
  if (colorspace == "bt601")
    look.matrix = Matrix::Bt601;
  else if (colorspace == "bt709")
    look.matrix = Matrix::Bt709;
  else if (colorspace == "bt2020")
    look.matrix = Matrix::Bt2020;
  else if (!colorspace.empty())
    return fail(EINVAL, "--colorspace " + std::string(colorspace) + ": write bt601, bt709 or bt2020");
  if (range == "full")
    look.range = Range::Full;
  else if (!range.empty() && range != "limited")
    return fail(EINVAL, "--range " + std::string(range) + ": write limited or full");
  if (!channel.empty()) look.channel = TRY(channel_named(*picture.format, channel));
  return look;
}

void to_rgba(const Picture& picture, const Band& band, const Look& look, std::span<uint8_t> to) {
  const Format& format = *picture.format;
  if (look.channel != 0) {
    const Channel& channel = *find_channel(format, look.channel);
    return in_parts(picture, band, to, [&](const Part& part) { grey_to_rgba(part, channel); });
  }
  switch (format.model) {
    case Model::Rgb:
      return in_parts(picture, band, to, rgb_to_rgba);
    case Model::Yuv:
      return in_parts(picture, band, to, YuvToRgb(format, look));
    case Model::Grey:
      return in_parts(picture, band, to, [&](const Part& part) { grey_to_rgba(part, format.channels[0]); });
    case Model::Bayer:
      const size_t row_size = size_t{picture.width} * 4;
      for (uint32_t row = 0; row < band.rows; ++row)
        bayer_to_rgba(format, band, row, to.subspan(row * row_size, row_size));
  }
}

}  // namespace dmabuffs::image
