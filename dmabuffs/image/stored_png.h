// SPDX-License-Identifier: MIT
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace dmabuffs::image {

/// A PNG in which nothing is compressed, so that its size is known before its pixels are: for a file that
/// must tell its size first. Deflate has blocks for that (RFC 1951, 3.2.4), and each is a chunk of the PNG
/// here.
class StoredPng {
 public:
  StoredPng(uint32_t width, uint32_t height, bool alpha);
  /// Bytes of all of it.
  static uint64_t size(uint32_t width, uint32_t height, bool alpha);
  /// Appends what comes before the pixels.
  void begin(std::vector<std::byte>& to) const;
  /// Whole rows of RGBA, 4 bytes a pixel; without `alpha` the fourth is left out. Appends what is complete by
  /// them, after the last row all that is left.
  void write(std::span<const uint8_t> rgba, std::vector<std::byte>& to);

 private:
  static constexpr size_t kBlock = 65535;  // the most there can be in one
  void write_row(const uint8_t* rgba, std::vector<std::byte>& to);
  void put(std::span<const uint8_t> bytes, std::vector<std::byte>& to);
  void end_block(std::vector<std::byte>& to);

  const uint32_t width_, height_;
  const uint8_t channels_;
  uint64_t left_;  // bytes of rows that are not yet in a block
  bool first_ = true;
  uint32_t checksum_ = 1;  // of the rows: Adler-32
  std::vector<uint8_t> block_, row_;
};

}  // namespace dmabuffs::image
