// SPDX-License-Identifier: MIT
#include <map>

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

TEST_CASE("formats by name: where no name is near none is proposed") {
  const std::string unknown = ": not known (dmabuffs view --help lists those that can be shown)";
  CHECK(refused("jpeg") == "format 'jpeg'" + unknown);
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
