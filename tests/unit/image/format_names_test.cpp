// SPDX-License-Identifier: MIT
#include <linux/videodev2.h>

#include <map>
#include <utility>

#include "catch.h"
#include "dmabuffs/image/drm_names.h"
#include "dmabuffs/image/format.h"
#include "dmabuffs/image/words.h"

using namespace dmabuffs::image;

namespace {

std::string name_of(std::string_view word) {
  const auto found = format_named(word);
  return found ? std::string((*found)->name) : found.error().message;
}

std::string refused(std::string_view word) {
  const auto found = format_named(word);
  REQUIRE(!found);
  CHECK(found.error().code == EINVAL);
  CHECK(find_format(word) == nullptr);
  return found.error().message;
}

std::string lower(std::string_view word) {
  std::string all(word);
  for (char& c : all)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return all;
}

}  // namespace

TEST_CASE("formats by name: four letters in any case, filled up by spaces or not") {
  CHECK(name_of("NV12") == "NV12");
  CHECK(name_of("nv12") == "NV12");
  CHECK(name_of("Nv12") == "NV12");
  CHECK(name_of("R8") == "R8");
  CHECK(name_of("R8  ") == "R8");
  CHECK(name_of("r16 ") == "R16");
  for (const Format& format : formats()) {
    CHECK(name_of(format.name) == format.name);
    CHECK(name_of(lower(format.name)) == format.name);
  }
}

TEST_CASE("formats by name: DRM's long names, with and without the prefix") {
  CHECK(name_of("DRM_FORMAT_XRGB8888") == "XR24");
  CHECK(name_of("XRGB8888") == "XR24");
  CHECK(name_of("drm_format_yuv420") == "YU12");
  CHECK(name_of("DRM_FORMAT_NV12") == "NV12");
  CHECK(name_of("BGR888") == "BG24");
  CHECK(name_of("RGB888") == "RG24");
  size_t shown = 0;
  for (const DrmName& drm : drm_names())
    if (const Format* format = find_format(drm.fourcc)) {
      CHECK(name_of(std::string("DRM_FORMAT_") + std::string(drm.name)) == format->name);
      ++shown;
    }
  CHECK(shown >= 25);
}

TEST_CASE("formats by name: other programs' names, which go by the order of bytes") {
  CHECK(name_of("rgb24") == "BG24");
  CHECK(name_of("bgr24") == "RG24");
  CHECK(name_of("rg24") == "RG24");
  CHECK(name_of("rgb3") == "BG24");
  CHECK(name_of("bgra") == "AR24");
  CHECK(name_of("YUV420P") == "YU12");
  CHECK(name_of("i420") == "YU12");
  CHECK(name_of("yuy2") == "YUYV");
  CHECK(name_of("p010le") == "P010");
  CHECK(name_of("srggb10") == "RG10");
}

TEST_CASE("formats by name: no name is that of two formats") {
  std::map<std::string, std::string_view> owners;
  const auto give = [&](std::string_view name, const Format& format) {
    const auto [owner, is_new] = owners.emplace(lower(name), format.name);
    INFO(name);
    CHECK((is_new || owner->second == format.name));
  };
  for (const Format& format : formats()) {
    give(format.name, format);
    for (const std::string_view alias : split(format.aliases, ' ')) {
      if (alias.empty()) continue;
      give(alias, format);
      CHECK(name_of(alias) == format.name);
    }
  }
  for (const DrmName& drm : drm_names())
    if (const Format* format = find_format(drm.fourcc)) give(drm.name, *format);
}

TEST_CASE("formats by name: an unknown one is refused with the nearest that is known") {
  CHECK(
      refused("NV21x") ==
      "format 'NV21x': not known; the nearest is NV21 (dmabuffs view --help lists those that can be shown)");
  CHECK(refused("NVI2").find("the nearest is NV12 ") != std::string::npos);
  CHECK(refused("xrgb88888").find("the nearest is XRGB8888 ") != std::string::npos);
  CHECK(refused("yuv420pp").find("the nearest is yuv420p ") != std::string::npos);
}

TEST_CASE("formats by name: V4L2's, with its prefix, are the formats that have V4L2's four letters") {
#define V4L2(name)                             \
  std::pair {                                  \
    "V4L2_PIX_FMT_" #name, V4L2_PIX_FMT_##name \
  }
  for (const auto& [name, fourcc] :
       {V4L2(NV12),    V4L2(NV21),    V4L2(NV16),    V4L2(NV61),    V4L2(NV24),    V4L2(P010),
        V4L2(YUV420),  V4L2(YVU420),  V4L2(YUYV),    V4L2(YVYU),    V4L2(UYVY),    V4L2(VYUY),
        V4L2(GREY),    V4L2(Y10),     V4L2(Y12),     V4L2(Y16),     V4L2(RGB24),   V4L2(BGR24),
        V4L2(RGB565),  V4L2(SRGGB8),  V4L2(SBGGR8),  V4L2(SGBRG8),  V4L2(SGRBG8),  V4L2(SRGGB10),
        V4L2(SBGGR10), V4L2(SGBRG10), V4L2(SGRBG10), V4L2(SBGGR16), V4L2(YUV422P), V4L2(SGBRG16)}) {
    std::string letters;
    for (int shift = 0; shift < 32; shift += 8) letters += static_cast<char>(fourcc >> shift & 0xff);
    INFO(name << " is " << letters);
    REQUIRE(find_format(name) != nullptr);
    if (find_format(letters) != nullptr) CHECK(find_format(name) == find_format(letters));
  }
#undef V4L2
  CHECK(refused("V4L2_PIX_FMT_YUV444").find("not known") != std::string::npos);  // packed, in 16 bits
}

TEST_CASE("formats by name: what is no rows of pixels is refused with what it is") {
  CHECK(refused("pRAA").find("raw Bayer of 10 bits, four pixels in five bytes") != std::string::npos);
  CHECK(refused("V4L2_PIX_FMT_MJPG").find("compressed pictures") != std::string::npos);
  CHECK(name_of("bggr") == "BA81");
  CHECK(name_of("grbg10le") == "BA10");
}

TEST_CASE("formats by name: where no name is near none is proposed") {
  const std::string unknown = ": not known (dmabuffs view --help lists those that can be shown)";
  CHECK(refused("picture") == "format 'picture'" + unknown);
  CHECK(refused("") == "format ''" + unknown);
  CHECK(refused("   ") == "format '   '" + unknown);
  CHECK(refused("DRM_FORMAT_") == "format 'DRM_FORMAT_'" + unknown);
  CHECK(refused("\x1b[2J\n") == "format '?[2J?'" + unknown);
  CHECK(refused(std::string(5000, 'a')) == "format '" + std::string(40, 'a') + "...'" + unknown);
}

TEST_CASE("formats by name: what DRM has and we can't show is not called unknown") {
  for (const char* name :
       {"NV15", "nv15", "P030", "DRM_FORMAT_P030", "YUV420_8BIT", "YU08", "AYUV", "NV20"}) {
    INFO(name);
    CHECK(refused(name).find("a format of DRM that can't be shown yet (") != std::string::npos);
  }
}
