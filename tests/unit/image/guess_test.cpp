// SPDX-License-Identifier: MIT
#include "catch.h"
#include "dmabuffs/image/picture.h"

using namespace dmabuffs::image;

namespace {

/// "NV12 1920x1080", or "".
std::string guessed(std::string_view name, uint64_t size) {
  const auto picture = guess(name, size);
  if (!picture) return "";
  return std::string(picture->format->name) + " " + std::to_string(picture->width) + "x" +
         std::to_string(picture->height);
}

}  // namespace

TEST_CASE("guess: a size and a format in a file's name, whatever stands between words") {
  CHECK(guessed("x_1920x1080_nv12.yuv", 3110400) == "NV12 1920x1080");
  CHECK(guessed("golden-1920x1080.nv12", 3110400) == "NV12 1920x1080");
  CHECK(guessed("frame.640x480.XR24.raw", 1228800) == "XR24 640x480");
  CHECK(guessed("clip_f0_176x144_yuv420p.yuv", 38016) == "YU12 176x144");
  CHECK(guessed("cap-64x64-RGGB", 4096) == "RGGB 64x64");
  CHECK(guessed("shot 8x8 rgb24", 192) == "BG24 8x8");
  CHECK(guessed("nv12@@16x16", 384) == "NV12 16x16");
}

TEST_CASE("guess: .yuv and .i420 with a size alone are YU12") {
  CHECK(guessed("foreman_176x144.yuv", 38016) == "YU12 176x144");
  CHECK(guessed("foreman_176x144.YUV", 38016) == "YU12 176x144");
  CHECK(guessed("foreman_176x144.i420", 38016) == "YU12 176x144");
  CHECK(guessed("yuv_176x144.raw", 38016).empty());
}

TEST_CASE("guess: the bytes must be whole pictures, one at least") {
  CHECK(guessed("a_4x4_nv12", 24) == "NV12 4x4");
  CHECK(guessed("a_4x4_nv12", 24 * 300) == "NV12 4x4");
  CHECK(guessed("a_4x4_nv12", 0).empty());
  CHECK(guessed("a_4x4_nv12", 23).empty());
  CHECK(guessed("a_4x4_nv12", 25).empty());
  CHECK(guessed("a_5x3_nv12", 15 + 12) == "NV12 5x3");
}

TEST_CASE("guess: one picture with the padding that GPUs want has those strides and offsets") {
  // 100 x 10 of NV12: 256 bytes a row, 10 and 5 rows, colours from the next page on.
  for (const uint64_t size : {4096 + 4 * 256 + 100, 4096 + 5 * 256, 2 * 4096}) {
    const auto picture = guess("a-100x10.nv12", size);
    INFO(size);
    REQUIRE(picture);
    CHECK(picture->planes[0] == PlaneLayout{0, 256});
    CHECK(picture->planes[1] == PlaneLayout{4096, 256});
  }
  CHECK(guessed("a-100x10.nv12", 4096 + 4 * 256 + 99).empty());
  CHECK(guessed("a-100x10.nv12", 2 * 8192).empty());
}

TEST_CASE("guess: only whole words count, and possible sizes") {
  CHECK(guessed("a_4x4_nv12x", 24).empty());
  CHECK(guessed("a4x4_nv12", 24).empty());
  CHECK(guessed("a_4x4nv12", 24).empty());
  CHECK(guessed("a_4x4x1_nv12", 24).empty());
  CHECK(guessed("a_0x4_nv12", 24).empty());
  CHECK(guessed("a_x4_4x_x_nv12", 24).empty());
  CHECK(guessed("a_2147483648x1_r8", 2147483648).empty());
  CHECK(guessed("a_99999999999999999999x4_nv12", 24).empty());
  CHECK(guessed("nv12", 24).empty());
  CHECK(guessed("4x4", 24).empty());
  CHECK(guessed("", 24).empty());
  CHECK(guessed("___", 24).empty());
}

TEST_CASE("guess: folders say nothing") {
  CHECK(guessed("/media/nv12/a_4x4_r8.raw", 48) == "R8 4x4");
  CHECK(guessed("nv12_4x4/a.raw", 24).empty());
  CHECK(guessed("nv12_4x4/", 24).empty());
}

TEST_CASE("guess: of several formats or sizes the last that is whole pictures counts") {
  CHECK(guessed("grey_wolf_64x64.raw", 4096) == "R8 64x64");
  CHECK(guessed("grey_wolf_64x64_nv12.raw", 6144) == "NV12 64x64");
  CHECK(guessed("nv12_wolf_64x64_grey.raw", 6144) == "NV12 64x64");
  CHECK(guessed("a_1920x1080_to_64x64.nv12", 6144) == "NV12 64x64");
  CHECK(guessed("a_64x64_of_1920x1080.nv12", 6144) == "NV12 64x64");
}
