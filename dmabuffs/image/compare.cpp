// SPDX-License-Identifier: MIT
#include "dmabuffs/image/compare.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

namespace dmabuffs::image {

namespace {

/// A block of `Bytes` bytes as a little-endian number.
template <size_t Bytes>
uint32_t block_at(const std::byte* at) {
  uint32_t block = 0;
  for (size_t i = 0; i < Bytes; ++i) block |= static_cast<uint32_t>(at[i]) << (8 * i);
  return block;
}

uint32_t block_at(const std::byte* at, size_t bytes) {
  switch (bytes) {
    case 1:
      return block_at<1>(at);
    case 2:
      return block_at<2>(at);
    case 3:
      return block_at<3>(at);
    default:
      return block_at<4>(at);
  }
}

uint32_t largest_sample(const Channel& channel) {
  return (uint32_t{1} << channel.bits) - 1;
}

/// How one row of one channel differs.
struct RowDifference {
  uint32_t largest = 0;
  uint64_t squares = 0;
};

/// Compares every block's sample `shift` bits up; `apart`: of each block how far apart they are.
template <size_t Bytes>
RowDifference compare_samples(const std::byte* a, const std::byte* b, uint32_t shift, uint32_t mask,
                              std::span<uint16_t> apart) {
  uint32_t largest = 0;
  uint64_t squares = 0;
  for (size_t i = 0; i < apart.size(); ++i) {
    const auto left = static_cast<int32_t>(block_at<Bytes>(a + i * Bytes) >> shift & mask);
    const auto right = static_cast<int32_t>(block_at<Bytes>(b + i * Bytes) >> shift & mask);
    const auto distance = static_cast<uint32_t>(left < right ? right - left : left - right);
    largest = std::max(largest, distance);
    squares += distance * distance;  // below 2^32: samples have 16 bits
    apart[i] = static_cast<uint16_t>(distance);
  }
  return {largest, squares};
}

RowDifference compare_samples(size_t bytes, const std::byte* a, const std::byte* b, uint32_t shift,
                              uint32_t mask, std::span<uint16_t> apart) {
  switch (bytes) {
    case 1:
      return compare_samples<1>(a, b, shift, mask, apart);
    case 2:
      return compare_samples<2>(a, b, shift, mask, apart);
    case 3:
      return compare_samples<3>(a, b, shift, mask, apart);
    default:
      return compare_samples<4>(a, b, shift, mask, apart);
  }
}

class Comparison {
 public:
  Comparison(const Picture& a, const Picture& b, uint32_t tolerance)
      : a_(a),
        b_(b),
        format_(*a.format),
        tolerance_(tolerance),
        differs_(size_t{a.width} * format_.vertical()) {
    apart_.resize(a.width);
    for (size_t i = 0; i < format_.channels.size(); ++i) {
      const Channel& channel = format_.channels[i];
      if (channel.name == 0) continue;
      const size_t blocks = channel.step != 0 ? a.width : blocks_in_row(channel.plane);
      difference_.samples[i] = uint64_t{blocks} * a.rows(channel.plane);
    }
  }

  Result<void> compare(const Band& a, const Band& b, const OnRow& on_row) {
    for (uint32_t row = 0; row < a.rows; row += format_.vertical()) {
      const uint32_t rows = std::min(a.rows - row, format_.vertical());
      compare_rows(a, b, row, rows);
      for (uint32_t i = 0; on_row && i < rows; ++i) TRY(on_row(a.first + row + i, row_of(i)));
    }
    return {};
  }

  [[nodiscard]] const Difference& difference() const { return difference_; }

 private:
  [[nodiscard]] size_t blocks_in_row(size_t plane) const {
    return a_.row_bytes(plane) / format_.planes[plane].bytes;
  }
  [[nodiscard]] std::span<uint8_t> row_of(uint32_t row) {
    return std::span(differs_).subspan(size_t{row} * a_.width, a_.width);
  }

  /// The rows from `first` of the band that one row of blocks is about.
  void compare_rows(const Band& a, const Band& b, uint32_t first, uint32_t rows) {
    if (marked_) std::ranges::fill(differs_, uint8_t{0});
    marked_ = false;
    for (size_t i = 0; i < format_.plane_count(); ++i) {
      const uint32_t vertical = format_.planes[i].vertical;
      for (uint32_t row = 0; row < rows; row += vertical) {
        const uint64_t at = (first + row) / vertical;
        const std::byte* left = a.planes[i].data() + at * a.strides[i];
        const std::byte* right = b.planes[i].data() + at * b.strides[i];
        if (std::memcmp(left, right, a_.row_bytes(i)) == 0) continue;
        uint32_t largest = 0;
        for (size_t channel = 0; channel < format_.channels.size(); ++channel)
          if (format_.channels[channel].name != 0 && format_.channels[channel].plane == i)
            largest =
                std::max(largest, compare_channel(channel, left, right, row, std::min(vertical, rows - row)));
        difference_.other_bits |= largest == 0;
      }
    }
    if (!marked_) return;
    const auto pixels = std::span(differs_).first(size_t{rows} * a_.width);
    difference_.pixels += static_cast<uint64_t>(std::ranges::count(pixels, uint8_t{1}));
    if (!difference_.first) note_first(a, b, first);
  }

  /// The largest difference. `row`: the first of `rows` rows of pixels that these blocks are about, among
  /// those of differs_.
  uint32_t compare_channel(size_t which, const std::byte* a, const std::byte* b, uint32_t row,
                           uint32_t rows) {
    const Channel& channel = format_.channels[which];
    const PlaneShape& shape = format_.planes[channel.plane];
    const uint32_t samples = channel.step != 0 ? shape.horizontal : 1;  // in a block
    uint32_t largest = 0;
    for (uint32_t i = 0; i < samples; ++i) {
      // The last block may be about fewer pixels than it has samples.
      const size_t blocks = samples == 1 ? blocks_in_row(channel.plane)
                                         : (a_.width - i + shape.horizontal - 1) / shape.horizontal;
      const auto apart = std::span(apart_).first(blocks);
      const RowDifference found = compare_samples(shape.bytes, a, b, channel.shift + i * channel.step,
                                                  largest_sample(channel), apart);
      largest = std::max(largest, found.largest);
      difference_.squares[which] += static_cast<double>(found.squares);
      if (found.largest <= tolerance_) continue;
      marked_ = true;
      for (uint32_t r = 0; r < rows; ++r)
        mark(apart, row_of(row + r), i, samples == 1 ? shape.horizontal : 1, shape.horizontal);
    }
    difference_.largest[which] = std::max(difference_.largest[which], largest);
    return largest;
  }

  /// Block number n is about `width` pixels from n * `step` + `first` on.
  void mark(std::span<const uint16_t> apart, std::span<uint8_t> row, size_t first, size_t width,
            size_t step) const {
    if (step == 1) {
      for (size_t i = 0; i < apart.size(); ++i) row[i] |= static_cast<uint8_t>(apart[i] > tolerance_);
      return;
    }
    for (size_t i = 0; i < apart.size(); ++i) {
      const auto differs = static_cast<uint8_t>(apart[i] > tolerance_);
      const size_t at = i * step + first;
      for (size_t x = at; x < std::min(at + width, row.size()); ++x) row[x] |= differs;
    }
  }

  void note_first(const Band& a, const Band& b, uint32_t first) {
    const size_t pixel = static_cast<size_t>(std::ranges::find(differs_, uint8_t{1}) - differs_.begin());
    const auto x = static_cast<uint32_t>(pixel % a_.width);
    const auto y = static_cast<uint32_t>(pixel / a_.width);
    for (const Channel& channel : format_.channels) {
      if (channel.name == 0) continue;
      const size_t plane = channel.plane;
      const PlaneShape& shape = format_.planes[plane];
      const uint64_t row = (first + y) / shape.vertical;
      const uint64_t column = uint64_t{x} / shape.horizontal * shape.bytes;
      const uint32_t shift = channel.shift + x % shape.horizontal * channel.step;
      const auto sample = [&](const Band& band) {
        const std::byte* block = band.planes[plane].data() + row * band.strides[plane] + column;
        return block_at(block, shape.bytes) >> shift & largest_sample(channel);
      };
      const uint32_t left = sample(a);
      const uint32_t right = sample(b);
      if (std::max(left, right) - std::min(left, right) <= tolerance_) continue;
      const uint64_t row_of_plane = a.first / shape.vertical + row;
      const auto offset = [&](const Picture& picture) {
        return picture.planes[plane].offset + row_of_plane * picture.planes[plane].stride + column;
      };
      difference_.first = {x, a.first + first + y, plane, channel.name, left, right, offset(a_), offset(b_)};
      return;
    }
  }

  const Picture& a_;
  const Picture& b_;
  const Format& format_;
  const uint32_t tolerance_;
  std::vector<uint8_t> differs_;  ///< of the rows that one row of blocks is about: a byte a pixel
  bool marked_ = false;           ///< whether any of them is set
  std::vector<uint16_t> apart_;
  Difference difference_;
};

}  // namespace

std::optional<double> Difference::psnr(const Format& format) const {
  double error = 0;  // as a part of the largest sample, which channels may have different ones of
  uint64_t count = 0;
  for (size_t i = 0; i < format.channels.size(); ++i) {
    const Channel& channel = format.channels[i];
    if (channel.name == 0 || channel.name == 'A') continue;
    const auto peak = static_cast<double>(largest_sample(channel));
    error += squares[i] / (peak * peak);
    count += samples[i];
  }
  if (error <= 0) return std::nullopt;
  return 10 * std::log10(static_cast<double>(count) / error);
}

Result<Difference> compare(const Picture& a, const ReadAt& read_a, const Picture& b, const ReadAt& read_b,
                           uint32_t tolerance, const OnRow& on_row) {
  if (a.format != b.format || a.width != b.width || a.height != b.height)
    return fail(EINVAL, "pictures of different formats or sizes: " + to_text(a) + " and " + to_text(b));
  const uint32_t rows = std::min(usual_rows(a), usual_rows(b));
  BandReader reader_a(a, read_a, rows);
  BandReader reader_b(b, read_b, rows);
  Comparison comparison(a, b, tolerance);
  for (;;) {
    const Band band_a = TRY(reader_a.next());
    const Band band_b = TRY(reader_b.next());
    if (band_a.rows == 0) return comparison.difference();
    TRY(comparison.compare(band_a, band_b, on_row));
  }
}

}  // namespace dmabuffs::image
