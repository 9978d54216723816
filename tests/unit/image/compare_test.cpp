// SPDX-License-Identifier: MIT
#include "dmabuffs/image/compare.h"

#include <cmath>
#include <cstring>
#include <random>
#include <tuple>
#include <vector>

#include "catch.h"

using namespace dmabuffs;
using namespace dmabuffs::image;

namespace {

using Bytes = std::vector<std::byte>;

/// A picture and its bytes.
struct Frame {
  Picture picture;
  Bytes bytes;

  explicit Frame(const std::string& text) {
    const auto made = from_text(text);
    REQUIRE(made);
    picture = *made;
    bytes.resize(picture.end());
  }
  [[nodiscard]] ReadAt reader() const {
    return [this](uint64_t offset, std::span<std::byte> to) -> Result<void> {
      if (offset + to.size() > bytes.size()) return fail(EIO, "beyond the end");
      std::memcpy(to.data(), bytes.data() + offset, to.size());
      return {};
    };
  }
  void fill(std::mt19937& random) {
    for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
  }
  [[nodiscard]] uint64_t block(const Channel& channel, uint32_t x, uint32_t y) const {
    const PlaneShape& shape = picture.format->planes[channel.plane];
    const PlaneLayout& plane = picture.planes[channel.plane];
    return plane.offset + y / shape.vertical * plane.stride + uint64_t{x} / shape.horizontal * shape.bytes;
  }
  /// As the header describes it, a pixel at a time.
  [[nodiscard]] uint32_t sample(const Channel& channel, uint32_t x, uint32_t y) const {
    const PlaneShape& shape = picture.format->planes[channel.plane];
    uint32_t number = 0;
    std::memcpy(&number, &bytes[block(channel, x, y)], shape.bytes);
    return (number >> (channel.shift + x % shape.horizontal * channel.step)) & ((1U << channel.bits) - 1);
  }
};

Difference compared(const Frame& a, const Frame& b, uint32_t tolerance = 0, const OnRow& on_row = nullptr) {
  const auto difference = compare(a.picture, a.reader(), b.picture, b.reader(), tolerance, on_row);
  REQUIRE(difference);
  return *difference;
}

/// The same a pixel at a time, and slowly.
struct Expected {
  Difference difference;
  std::vector<uint8_t> differs;
};
Expected expected(const Frame& a, const Frame& b, uint32_t tolerance) {
  Expected model;
  const Format& format = *a.picture.format;
  const auto apart = [&](const Channel& channel, uint32_t x, uint32_t y) {
    return static_cast<uint32_t>(
        std::abs(static_cast<int>(a.sample(channel, x, y)) - static_cast<int>(b.sample(channel, x, y))));
  };
  for (uint32_t y = 0; y < a.picture.height; ++y)
    for (uint32_t x = 0; x < a.picture.width; ++x) {
      bool differs = false;
      for (size_t i = 0; i < 4; ++i) {
        const Channel& channel = format.channels[i];
        if (channel.name == 0) continue;
        const PlaneShape& shape = format.planes[channel.plane];
        const uint32_t distance = apart(channel, x, y);
        if (distance > tolerance && !differs) {
          differs = true;
          if (!model.difference.first)
            model.difference.first = {x,
                                      y,
                                      channel.plane,
                                      channel.name,
                                      a.sample(channel, x, y),
                                      b.sample(channel, x, y),
                                      a.block(channel, x, y),
                                      b.block(channel, x, y)};
        }
        // Once for each sample, not for each pixel that it is about.
        if ((channel.step == 0 && x % shape.horizontal != 0) || y % shape.vertical != 0) continue;
        model.difference.largest[i] = std::max(model.difference.largest[i], distance);
        model.difference.squares[i] += static_cast<double>(distance) * distance;
        ++model.difference.samples[i];
      }
      model.difference.pixels += differs ? 1 : 0;
      model.differs.push_back(differs ? 1 : 0);
    }
  return model;
}

void check_same(const Difference& seen, const Difference& wanted) {
  CHECK(seen.pixels == wanted.pixels);
  CHECK(seen.largest == wanted.largest);
  CHECK(seen.squares == wanted.squares);
  CHECK(seen.samples == wanted.samples);
  REQUIRE(seen.first.has_value() == wanted.first.has_value());
  if (!seen.first) return;
  CHECK(seen.first->x == wanted.first->x);
  CHECK(seen.first->y == wanted.first->y);
  CHECK(seen.first->plane == wanted.first->plane);
  CHECK(seen.first->channel == wanted.first->channel);
  CHECK(seen.first->a == wanted.first->a);
  CHECK(seen.first->b == wanted.first->b);
  CHECK(seen.first->offset_a == wanted.first->offset_a);
  CHECK(seen.first->offset_b == wanted.first->offset_b);
}

}  // namespace

TEST_CASE("one byte of a frame is found with its plane, its pixel and both samples") {
  const std::string text = "NV12:64x36:stride=64,80:offset=128,4096";
  Frame a(text), b(text);
  SECTION("of the luma") {
    b.bytes[128 + 64 * 7 + 9] = std::byte{200};
    const Difference found = compared(a, b);
    CHECK(found.pixels == 1);
    REQUIRE(found.first);
    CHECK(found.first->x == 9);
    CHECK(found.first->y == 7);
    CHECK(found.first->plane == 0);
    CHECK(found.first->channel == 'Y');
    CHECK(found.first->a == 0);
    CHECK(found.first->b == 200);
    CHECK(found.first->offset_a == 128 + 64 * 7 + 9);
    CHECK(found.largest == std::array<uint32_t, 4>{200, 0, 0, 0});
  }
  SECTION("of the chroma, which is about four pixels") {
    b.bytes[4096 + 80 * 3 + 2 * 5 + 1] = std::byte{3};
    const Difference found = compared(a, b);
    CHECK(found.pixels == 4);
    REQUIRE(found.first);
    CHECK(found.first->x == 10);
    CHECK(found.first->y == 6);
    CHECK(found.first->plane == 1);
    CHECK(found.first->channel == 'V');
    CHECK(found.first->b == 3);
    CHECK(found.first->offset_a == 4096 + 80 * 3 + 2 * 5);
  }
  SECTION("the padding of a row is no pixel") {
    b.bytes[4096 + 64] = std::byte{1};
    b.bytes[3] = std::byte{1};
    const Difference found = compared(a, b);
    CHECK(found.pixels == 0);
    CHECK_FALSE(found.first);
    CHECK_FALSE(found.psnr(*a.picture.format));
  }
}

TEST_CASE("the X of XR24 is not compared, the A of AR24 is") {
  for (const std::string name : {"XR24", "AR24"}) {
    Frame a(name + ":8x8"), b(name + ":8x8");
    b.bytes[(8 * 2 + 5) * 4 + 3] = std::byte{255};
    const Difference found = compared(a, b);
    CHECK(found.pixels == (name == "AR24" ? 1 : 0));
    CHECK(found.first.has_value() == (name == "AR24"));
    if (found.first) CHECK(found.first->channel == 'A');
    CHECK_FALSE(found.psnr(*a.picture.format));  // which leaves alpha out
  }
}

TEST_CASE("bits of no channel are told where no sample of their row differs") {
  for (const auto& [text, byte, bits] : {std::tuple{"XR24:8x8", 7, 0xff},
                                         {"P010:8x8", 2, 0x3f},
                                         {"R10:8x8", 1, 0xfc},
                                         {"YUYV:7x3", 14, 0xff}}) {
    INFO(text);
    Frame a(text), b(text);
    b.bytes[static_cast<size_t>(byte)] = static_cast<std::byte>(bits);
    const Difference found = compared(a, b);
    CHECK(found.pixels == 0);
    CHECK(found.other_bits);
    CHECK_FALSE(compared(a, a).other_bits);
  }
  Frame a("NV12:8x8"), b("NV12:8x8");
  b.bytes[9] = std::byte{1};
  CHECK_FALSE(compared(a, b).other_bits);
  CHECK_FALSE(compared(a, b, /*tolerance=*/1).other_bits);
}

TEST_CASE("strides and offsets may differ") {
  Frame a("YU12:33x9"), b("YU12:33x9:stride=64,32,48:offset=100,1000,2000");
  std::mt19937 random(1);
  a.fill(random);
  b.fill(random);
  for (size_t i = 0; i < 3; ++i)
    for (uint32_t row = 0; row < a.picture.rows(i); ++row)
      std::memcpy(&b.bytes[b.picture.planes[i].offset + row * b.picture.planes[i].stride],
                  &a.bytes[a.picture.planes[i].offset + row * a.picture.planes[i].stride],
                  a.picture.row_bytes(i));
  CHECK(compared(a, b).pixels == 0);
  b.bytes[2000 + 48 * 4 + 16] ^= std::byte{1};
  const Difference found = compared(a, b);
  CHECK(found.pixels == 1);  // the last block is about the last pixel of an odd width and height
  REQUIRE(found.first);
  CHECK(found.first->x == 32);
  CHECK(found.first->y == 8);
  CHECK(found.first->offset_a == a.picture.planes[2].offset + 4 * 17 + 16);
  CHECK(found.first->offset_b == 2000 + 48 * 4 + 16);
}

TEST_CASE("of every format what is found is what a look at each pixel finds") {
  std::mt19937 random(2);
  for (const Format& format : formats())
    for (const std::string size : {"1x1", "7x5", "32x8"})
      for (const uint32_t tolerance : {0U, 1U, 100U}) {
        const std::string text = std::string(format.name) + ":" + size;
        INFO(text << " tolerance " << tolerance);
        Frame a(text), b(text);
        a.fill(random);
        b.bytes = a.bytes;
        // A few bits in most cases, all of it in others.
        if (random() % 3 == 0)
          b.fill(random);
        else
          for (int i = 0; i < 5; ++i)
            b.bytes[random() % b.bytes.size()] ^= std::byte{1} << static_cast<int>(random() % 8);
        const Expected model = expected(a, b, tolerance);
        std::vector<uint8_t> told;
        uint32_t next = 0;
        const OnRow on_row = [&](uint32_t y, std::span<const uint8_t> row) -> Result<void> {
          CHECK(y == next++);
          told.insert(told.end(), row.begin(), row.end());
          return {};
        };
        check_same(compared(a, b, tolerance, on_row), model.difference);
        CHECK(told == model.differs);
      }
}

TEST_CASE("a picture of many bands is compared to its end") {
  Frame a("P010:512x3000"), b("P010:512x3000");
  const Channel& last = a.picture.format->channels[2];
  b.bytes[b.block(last, 511, 2999) + 3] = std::byte{0x80};
  const Difference found = compared(a, b);
  CHECK(found.pixels == 4);
  REQUIRE(found.first);
  CHECK(found.first->x == 510);
  CHECK(found.first->y == 2998);
  CHECK(found.first->channel == 'V');
  CHECK(found.first->b == 0x200);
  CHECK(found.first->offset_b == b.block(last, 511, 2999));
}

TEST_CASE("PSNR is about all channels, with the largest sample as the peak") {
  Frame a("R8:10x10"), b("R8:10x10");
  for (std::byte& byte : b.bytes) byte = std::byte{5};
  CHECK(std::abs(*compared(a, b).psnr(*a.picture.format) - 10 * std::log10(255.0 * 255 / 25)) < 1e-9);
  Frame c("NV12:10x10"), d("NV12:10x10");
  d.bytes[0] = std::byte{10};
  CHECK(std::abs(*compared(c, d).psnr(*c.picture.format) - 10 * std::log10(255.0 * 255 * 150 / 100)) < 1e-9);
}

TEST_CASE("what can't be compared is an error") {
  const Frame a("R8:4x4"), b("R8:4x5"), c("R16:4x4");
  for (const Frame* other : {&b, &c}) {
    const auto refused = compare(a.picture, a.reader(), other->picture, other->reader(), 0, nullptr);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == EINVAL);
  }
  const ReadAt broken = [](uint64_t, std::span<std::byte>) -> Result<void> { return fail(EIO, "broken"); };
  CHECK(compare(a.picture, a.reader(), a.picture, broken, 0, nullptr).error().message == "broken");
  const OnRow full = [](uint32_t, std::span<const uint8_t>) -> Result<void> { return fail(ENOSPC, "full"); };
  CHECK(compare(a.picture, a.reader(), a.picture, a.reader(), 0, full).error().message == "full");
}
