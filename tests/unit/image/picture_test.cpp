// SPDX-License-Identifier: MIT
#include "dmabuffs/image/picture.h"

#include <algorithm>
#include <random>

#include "catch.h"

using namespace dmabuffs::image;

namespace {

Picture made(const PictureWords& words, Padding padding = Padding::None) {
  const auto picture = make_picture(words, padding);
  INFO((picture ? "" : picture.error().message));
  REQUIRE(picture);
  return *picture;
}

std::string refused(const PictureWords& words) {
  const auto picture = make_picture(words, Padding::None);
  REQUIRE(!picture);
  CHECK(picture.error().code == EINVAL);
  return picture.error().message;
}

Picture read(std::string_view text) {
  const auto picture = from_text(text);
  INFO((picture ? "" : picture.error().message));
  REQUIRE(picture);
  return *picture;
}

std::string unread(std::string_view text) {
  const auto picture = from_text(text);
  REQUIRE(!picture);
  CHECK(picture.error().code == EINVAL);
  return picture.error().message;
}

using Layout = std::vector<PlaneLayout>;
Layout layout(const Picture& picture) {
  return {picture.planes.begin(), picture.planes.begin() + static_cast<long>(picture.format->plane_count())};
}

}  // namespace

TEST_CASE("picture: without a word on strides files have none, GPUs 256 bytes and pages") {
  const PictureWords nv12{.format = "NV12", .size = "100x10"};
  CHECK(layout(made(nv12)) == Layout{{0, 100}, {1000, 100}});
  CHECK(made(nv12).end() == 1500);
  CHECK(layout(made(nv12, Padding::Gpu)) == Layout{{0, 256}, {4096, 256}});
  CHECK(made(nv12, Padding::Gpu).end() == 4096 + 4 * 256 + 100);
  CHECK(layout(made({.format = "RG24", .size = "3x2"})) == Layout{{0, 9}});
}

TEST_CASE("picture: an odd size takes whole blocks") {
  CHECK(layout(made({.format = "NV12", .size = "5x3"})) == Layout{{0, 5}, {15, 6}});
  CHECK(layout(made({.format = "YU12", .size = "5x3"})) == Layout{{0, 5}, {15, 3}, {21, 3}});
  CHECK(made({.format = "YU12", .size = "5x3"}).end() == 27);
  CHECK(layout(made({.format = "YUYV", .size = "5x1"})) == Layout{{0, 12}});
  CHECK(made({.format = "NV16", .size = "1x1"}).end() == 3);
}

TEST_CASE("picture: a stride for the first plane is one for the same pixels in the others") {
  CHECK(layout(made({.format = "NV12", .size = "100x10", .stride = "128"})) == Layout{{0, 128}, {1280, 128}});
  CHECK(layout(made({.format = "YU12", .size = "100x10", .stride = "128"})) ==
        Layout{{0, 128}, {1280, 64}, {1600, 64}});
  CHECK(layout(made({.format = "NV24", .size = "100x10", .stride = "128"})) == Layout{{0, 128}, {1280, 256}});
  CHECK(layout(made({.format = "P010", .size = "100x10", .stride = "256"})) == Layout{{0, 256}, {2560, 256}});
  CHECK(layout(made({.format = "NV12", .size = "5x2", .stride = "5"})) == Layout{{0, 5}, {10, 6}});
  CHECK(layout(made({.format = "NV12", .size = "5x2", .stride = "7"})) == Layout{{0, 7}, {14, 8}});
  CHECK(layout(made({.format = "NV12", .size = "100x10", .stride = "128,200", .offset = "64,4096"})) ==
        Layout{{64, 128}, {4096, 200}});
  CHECK(layout(made({.format = "NV12", .size = "100x10", .offset = "64"})) == Layout{{64, 100}, {1064, 100}});
}

TEST_CASE("picture: sizes that can't be are refused") {
  const std::string limits = ": 1 to 65536 pixels each way";
  for (const char* size : {"0x4", "4x0", "0x0", "65537x1", "1x65537", "2147483648x1", "1x2147483648",
                           "4294967297x1", "4294967296x4294967296"}) {
    INFO(size);
    CHECK(refused({.format = "NV12", .size = size}) == "size '" + std::string(size) + "'" + limits);
  }
  for (const char* size :
       {"4", "x", "4x", "x4", "4x4x4", "-4x4", "4x4 ", "4x4X4", "99999999999999999999x4"}) {
    INFO(size);
    CHECK(refused({.format = "NV12", .size = size}) ==
          "size '" + std::string(size) + "': write width x height in pixels, such as 1920x1080");
  }
  CHECK(refused({.format = "NV12"}) == "no size: write width x height in pixels, such as 1920x1080");
  CHECK(made({.format = "AR24", .size = "65536x65536"}).end() == uint64_t{65536} * 65536 * 4);
}

TEST_CASE("picture: a format is needed, and one that is not known refused with the nearest") {
  CHECK(refused({.size = "4x4"}) == "no format: write one such as NV12 or XR24");
  CHECK(refused({.format = "NV21x", .size = "4x4"}).find("the nearest is NV21 ") != std::string::npos);
}

TEST_CASE("picture: a stride below the row's bytes is refused, by plane and numbers") {
  CHECK(refused({.format = "XR24", .size = "100x10", .stride = "399"}) ==
        "XR24: plane 0: a stride of 399 bytes is less than the 400 of a row of 100 pixels");
  CHECK(refused({.format = "NV12", .size = "100x10", .stride = "100,99"}) ==
        "NV12: plane 1: a stride of 99 bytes is less than the 100 of a row of 100 pixels");
  CHECK(refused({.format = "NV12", .size = "100x10", .stride = "0"}).find("a stride of 0 bytes") !=
        std::string::npos);
}

TEST_CASE("picture: strides and offsets have limits, those derived from others, too") {
  CHECK(refused({.format = "XR24", .size = "1x1", .stride = "4294967296"}) ==
        "XR24: plane 0: a stride of 4294967296 bytes; at most 4294967295");
  CHECK(refused({.format = "NV24", .size = "1x1", .stride = "4294967295"}) ==
        "NV24: plane 1: a stride of 8589934590 bytes; at most 4294967295");
  CHECK(refused({.format = "XR24", .size = "1x1", .offset = "18446744073709551615"}) ==
        "XR24: plane 0: an offset of 18446744073709551615 bytes; at most 1152921504606846976");
  CHECK(refused({.format = "NV12", .size = "2x2", .offset = "1152921504606846976"}) ==
        "NV12: plane 1: an offset of 1152921504606846980 bytes; at most 1152921504606846976");
  const Picture largest = made({.format = "YU12",
                                .size = "65536x65536",
                                .stride = "4294967295,4294967295,4294967295",
                                .offset = "0,281474976645120,1152921504606846976"});
  CHECK(largest.end() > largest.planes[2].offset);
  CHECK(largest.end() < uint64_t{INT64_MAX});
}

TEST_CASE("picture: strides and offsets are numbers, one a plane") {
  for (const char* word : {"a", "1,", ",", "-1", "1 ", "0x", "K", "1KK", "0x1K", "99999999999T",
                           "18446744073709551616", "1;2"}) {
    INFO(word);
    const std::string remedy =
        "'" + std::string(word) + "': write bytes, one number a plane, such as 2048,1024";
    CHECK(refused({.format = "NV12", .size = "4x4", .stride = word}) == "stride " + remedy);
    CHECK(refused({.format = "NV12", .size = "4x4", .offset = word}) == "offset " + remedy);
  }
  const Picture same = made({.format = "NV12", .size = "4x4", .stride = "4096", .offset = "0,1048576"});
  CHECK(made({.format = "NV12", .size = "4X4", .stride = "0x1000", .offset = "0,1m"}) == same);
  CHECK(made({.format = "NV12", .size = "4x4", .stride = "4K", .offset = "0X0,1024K"}) == same);
  CHECK(refused({.format = "NV12", .size = "4x4", .stride = "4,4,4"}) == "stride '4,4,4': NV12 has 2 planes");
  CHECK(refused({.format = "R8", .size = "4x4", .offset = "0,0"}) == "offset '0,0': R8 has 1 plane");
}

TEST_CASE("picture: planes that share a byte are refused, by planes and numbers") {
  CHECK(refused({.format = "NV12", .size = "100x10", .offset = "0,0"}) ==
        "NV12: plane 1 at 0 overlaps plane 0, which lies from 0 to 1000: both have byte 0");
  CHECK(refused({.format = "NV12", .size = "100x10", .offset = "0,999"}) ==
        "NV12: plane 1 at 999 overlaps plane 0, which lies from 0 to 1000: both have byte 999");
  // Behind the first plane's rows at first; the last of 5 ends in its first one.
  CHECK(refused({.format = "NV12", .size = "100x10", .offset = "401,0"}) ==
        "NV12: plane 1 at 0 overlaps plane 0, which lies from 401 to 1401: both have byte 401");
  CHECK(refused({.format = "YU12", .size = "4x4", .offset = "0,16,19"})
            .find("plane 2 at 19 overlaps plane 1") != std::string::npos);
  // Where strides differ, rows may meet only further down.
  CHECK(refused({.format = "NV12", .size = "40x10", .stride = "150,140", .offset = "0,60"})
            .find("both have byte 480") != std::string::npos);
}

TEST_CASE("picture: planes are refused when a count of each byte says that two have it, and only then") {
  std::minstd_rand random(1);  // always the same numbers
  const auto upto = [&](unsigned most) { return static_cast<unsigned>(random() % (most + 1)); };
  size_t apart = 0, together = 0;
  for (int round = 0; round < 20000; ++round) {
    PictureWords words{.format = round % 2 == 0 ? "NV12" : "YU12"};
    words.size = std::to_string(1 + upto(7)) + "x" + std::to_string(1 + upto(7));
    const size_t planes = round % 2 == 0 ? 2 : 3;
    std::array<PlaneLayout, 3> wanted{};
    for (size_t i = 0; i < planes; ++i) {
      wanted[i] = {upto(60), 8 + upto(16)};
      words.stride += (i == 0 ? "" : ",") + std::to_string(wanted[i].stride);
      words.offset += (i == 0 ? "" : ",") + std::to_string(wanted[i].offset);
    }
    Picture picture = made({.format = words.format, .size = words.size});
    picture.planes = wanted;
    std::vector<int> owners(picture.end());
    for (size_t i = 0; i < planes; ++i)
      for (uint32_t y = 0; y < picture.rows(i); ++y)
        for (uint64_t x = 0; x < picture.row_bytes(i); ++x)
          ++owners.at(wanted[i].offset + y * wanted[i].stride + x);
    const bool shared = std::ranges::any_of(owners, [](int count) { return count > 1; });
    ++(shared ? together : apart);
    if (make_picture(words, Padding::None).has_value() == shared)
      FAIL(words.format << " " << words.size << " " << words.stride << " " << words.offset);
  }
  CHECK(apart > 1000);
  CHECK(together > 1000);
}

TEST_CASE("picture: planes may come in any order, and lie in each other's padding") {
  CHECK(layout(made({.format = "NV12", .size = "100x10", .offset = "500,0"})) ==
        Layout{{500, 100}, {0, 100}});
  // U and V side by side below Y.
  const PictureWords beside{.format = "YU12", .size = "64x4", .stride = "64,64,64", .offset = "0,256,288"};
  CHECK(made(beside).end() == 384);
  // The colours right of Y.
  CHECK(made({.format = "NV12", .size = "64x4", .stride = "128,128", .offset = "0,64"}).end() == 448);
  CHECK(refused({.format = "NV12", .size = "64x4", .stride = "128,128", .offset = "0,65"})
            .find("both have byte 128") != std::string::npos);
}

TEST_CASE("picture: one that does not fit is refused, by plane and numbers") {
  const Picture picture = made({.format = "NV12", .size = "100x10"});
  CHECK(check_fits(picture, 1500));
  const auto cut = check_fits(picture, 1499);
  REQUIRE(!cut);
  CHECK(cut.error().code == EINVAL);
  CHECK(cut.error().message == "NV12: plane 1 of 100x10 ends at byte 1500, and there are 1499");
  CHECK(check_fits(picture, 999).error().message ==
        "NV12: plane 0 of 100x10 ends at byte 1000, and there are 999");
  CHECK(!check_fits(picture, 0));
  // What pads the last row need not be there.
  const Picture padded = made({.format = "R8", .size = "100x2", .stride = "128"});
  CHECK(check_fits(padded, 228));
  CHECK(!check_fits(padded, 227));
}

TEST_CASE("picture: only linear ones can be read; others are refused by the modifier's name and vendor") {
  const auto said = [](const char* modifier) {
    const auto shown = check_linear(made({.format = "XR24", .size = "4x4", .modifier = modifier}));
    if (shown) return std::string("shown");
    CHECK(shown.error().code == ENOTSUP);
    return shown.error().message;
  };
  CHECK(said("") == "shown");
  CHECK(said("LINEAR") == "shown");
  CHECK(said("I915_X_TILED") ==
        "its pixels are tiled (modifier I915_X_TILED (INTEL)); have its maker write it linear");
  CHECK(said("VIVANTE_TILED").find("VIVANTE_TILED (VIVANTE)") != std::string::npos);
  CHECK(said("0x0800000000000041") ==
        "its pixels are compressed (modifier ARM_AFBC_BLOCK_SIZE=16x16,MODE=SPARSE (ARM)); have its maker "
        "write "
        "it linear");
  CHECK(said("I915_Y_TILED_CCS").find("its pixels are compressed (modifier I915_Y_TILED_CCS (INTEL))") == 0);
  CHECK(said("INVALID") == "how its pixels lie is not known (modifier INVALID); if in rows, say LINEAR");
  CHECK(said("0x7700000000000001").find("0x7700000000000001 (unknown vendor)") != std::string::npos);
  CHECK(refused({.format = "XR24", .size = "4x4", .modifier = "tiles"}).find("modifier 'tiles': not known") ==
        0);
}

TEST_CASE("picture: as text and back, for every format") {
  CHECK(to_text(made({.format = "nv12", .size = "1920x1080", .stride = "2048"})) ==
        "NV12:1920x1080:stride=2048,2048:offset=0,2211840");
  for (const Format& format : formats())
    for (const char* size : {"1x1", "5x3", "64x48", "65536x65536"})
      for (const Padding padding : {Padding::None, Padding::Gpu})
        for (const char* modifier : {"", "I915_X_TILED", "18446744073709551615"}) {
          const Picture picture =
              made({.format = std::string(format.name), .size = size, .modifier = modifier}, padding);
          const std::string text = to_text(picture);
          INFO(text);
          CHECK(read(text) == picture);
        }
}

TEST_CASE("picture: text may leave out what follows from the rest") {
  CHECK(read("NV12:100x10") == made({.format = "NV12", .size = "100x10"}));
  CHECK(read("xr24:4x4:stride=32") == made({.format = "XR24", .size = "4x4", .stride = "32"}));
  CHECK(read("XR24:4x4:modifier=LINEAR:offset=64") ==
        made({.format = "XR24", .size = "4x4", .offset = "64"}));
}

TEST_CASE("picture: text that is none is refused") {
  CHECK(unread("") == "'': write a format and a size, such as NV12:1920x1080");
  CHECK(unread("NV12") == "'NV12': write a format and a size, such as NV12:1920x1080");
  for (const char* part : {"", "stride", "stride=", "=1", "pitch=4", "offset=0:offset=0"}) {
    INFO(part);
    CHECK(unread("R8:4x4:" + std::string(part)).find(" is not one stride=, offset= or modifier=") !=
          std::string::npos);
  }
  CHECK(unread("R8:4x4:stride=3").find("R8: plane 0: a stride of 3 bytes") == 0);
  CHECK(unread(":4x4") == "no format: write one such as NV12 or XR24");
  CHECK(unread("R8:").find("no size") == 0);
}
