// SPDX-License-Identifier: MIT
#include "dmabuffs/image/stored_png.h"

#include <zlib.h>

#include <algorithm>
#include <string_view>

namespace dmabuffs::image {

namespace {

constexpr std::array<uint8_t, 8> kSignature{0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
constexpr std::array<uint8_t, 2> kZlib{0x78, 0x01};
constexpr size_t kFrame = 12, kHeader = 13, kBlockHeader = 5,
                 kChecksum = 4;  // of a chunk; of IHDR; of a block

void append(std::vector<std::byte>& to, std::span<const uint8_t> bytes) {
  const auto some = std::as_bytes(bytes);
  to.insert(to.end(), some.begin(), some.end());
}

/// With the byte before it that says how it is filtered.
uint64_t row_bytes(uint32_t width, bool alpha) {
  return 1 + uint64_t{width} * (alpha ? 4 : 3);
}

std::array<uint8_t, 4> big_endian(uint32_t value) {
  return {static_cast<uint8_t>(value >> 24), static_cast<uint8_t>(value >> 16),
          static_cast<uint8_t>(value >> 8), static_cast<uint8_t>(value)};
}

/// A chunk whose content comes in parts (RFC 2083, 3.2).
class Chunk {
 public:
  Chunk(std::vector<std::byte>& to, std::string_view type, size_t length) : to_(to) {
    append(to_, big_endian(static_cast<uint32_t>(length)));
    add({reinterpret_cast<const uint8_t*>(type.data()), type.size()});
  }
  void add(std::span<const uint8_t> bytes) {
    sum_ = ::crc32_z(sum_, bytes.data(), bytes.size());
    append(to_, bytes);
  }
  ~Chunk() { append(to_, big_endian(static_cast<uint32_t>(sum_))); }
  Chunk(const Chunk&) = delete;
  Chunk& operator=(const Chunk&) = delete;

 private:
  std::vector<std::byte>& to_;
  unsigned long sum_ = 0;
};

}  // namespace

StoredPng::StoredPng(uint32_t width, uint32_t height, bool alpha)
    : width_(width),
      height_(height),
      channels_(alpha ? 4 : 3),
      left_(row_bytes(width, alpha) * height),
      row_(row_bytes(width, alpha)) {
  block_.reserve(kBlock);
}

uint64_t StoredPng::size(uint32_t width, uint32_t height, bool alpha) {
  const uint64_t bytes = row_bytes(width, alpha) * height, blocks = (bytes + kBlock - 1) / kBlock;
  return kSignature.size() + (kFrame + kHeader) + blocks * (kFrame + kBlockHeader) + kZlib.size() + bytes +
         kChecksum + kFrame;
}

void StoredPng::begin(std::vector<std::byte>& to) const {
  append(to, kSignature);
  Chunk header(to, "IHDR", kHeader);
  header.add(big_endian(width_));
  header.add(big_endian(height_));
  header.add(std::array<uint8_t, 5>{8, static_cast<uint8_t>(channels_ == 4 ? 6 : 2), 0, 0, 0});
}

void StoredPng::write(std::span<const uint8_t> rgba, std::vector<std::byte>& to) {
  for (size_t at = 0; at < rgba.size(); at += size_t{width_} * 4) write_row(&rgba[at], to);
}

void StoredPng::write_row(const uint8_t* rgba, std::vector<std::byte>& to) {
  uint8_t* out = &row_[1];  // before it the filter: none
  if (channels_ == 4) {
    std::copy_n(rgba, size_t{width_} * 4, out);
  } else {
    for (uint32_t x = 0; x < width_; ++x, rgba += 4, out += 3) {
      out[0] = rgba[0];
      out[1] = rgba[1];
      out[2] = rgba[2];
    }
  }
  put(row_, to);
}

void StoredPng::put(std::span<const uint8_t> bytes, std::vector<std::byte>& to) {
  while (!bytes.empty()) {
    const auto some = bytes.first(std::min(bytes.size(), kBlock - block_.size()));
    block_.insert(block_.end(), some.begin(), some.end());
    bytes = bytes.subspan(some.size());
    if (block_.size() == kBlock || block_.size() == left_) end_block(to);
  }
}

void StoredPng::end_block(std::vector<std::byte>& to) {
  const auto length = static_cast<uint16_t>(block_.size());
  left_ -= length;
  const bool last = left_ == 0;
  checksum_ = static_cast<uint32_t>(::adler32_z(checksum_, block_.data(), block_.size()));
  {
    Chunk chunk(to, "IDAT", (first_ ? kZlib.size() : 0) + kBlockHeader + length + (last ? kChecksum : 0));
    if (first_) chunk.add(kZlib);
    const auto not_length = static_cast<uint16_t>(~length);
    chunk.add(std::array<uint8_t, kBlockHeader>{
        static_cast<uint8_t>(last), static_cast<uint8_t>(length), static_cast<uint8_t>(length >> 8),
        static_cast<uint8_t>(not_length), static_cast<uint8_t>(not_length >> 8)});
    chunk.add(block_);
    if (last) chunk.add(big_endian(checksum_));
  }
  if (last) const Chunk end(to, "IEND", 0);
  first_ = false;
  block_.clear();
}

}  // namespace dmabuffs::image
