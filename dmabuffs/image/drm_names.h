// SPDX-License-Identifier: MIT
/// DRM's formats by the names of drm_fourcc.h. libdrm has no list of them: its drmGetFormatName() gives back
/// the four letters, whatever they are.
#pragma once
#include <cstdint>
#include <span>
#include <string_view>

namespace dmabuffs::image {

struct DrmName {
  uint32_t fourcc = 0;
  std::string_view name;  ///< what follows DRM_FORMAT_: "XRGB8888"
};

/// All of them, also those that format.h can't show.
std::span<const DrmName> drm_names();

}  // namespace dmabuffs::image
