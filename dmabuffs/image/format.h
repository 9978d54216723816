// SPDX-License-Identifier: MIT
/// Pixel formats that can be shown and compared, by their DRM fourcc (drm_fourcc.h); raw Bayer, for which DRM
/// has none, by V4L2's (linux/videodev2.h).
#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "dmabuffs/base/result.h"

namespace dmabuffs::image {

enum class Model { Rgb, Yuv, Grey, Bayer };

/// A plane is rows of blocks: one block of `bytes` bytes is about `horizontal` x `vertical` pixels.
struct PlaneShape {
  uint8_t bytes = 0, horizontal = 1, vertical = 1;
};

/// Where one channel's sample lies in its plane's block, read as a little-endian number. `step`: bits from
/// one pixel's sample to the next in a block of several (the Y of YUYV), else 0.
struct Channel {
  char name = 0;  ///< R G B A, Y U V A, or Y of a grey one and of raw Bayer; 0: there is none
  uint8_t plane = 0, shift = 0, bits = 0, step = 0;
};

struct Format {
  uint32_t fourcc = 0;
  std::string_view name;     ///< the four letters, without spaces behind them: "NV12", "R8"
  std::string_view aliases;  ///< other names, between spaces: V4L2's, FFmpeg's
  Model model = Model::Rgb;
  std::array<PlaneShape, 3> planes{};  ///< those of 0 bytes are not there
  std::array<Channel, 4> channels{};   ///< R G B A; Y U V A; Y
  std::string_view bayer;              ///< of the first two rows' first two pixels: "RGGB"

  [[nodiscard]] size_t plane_count() const;
  [[nodiscard]] bool has_alpha() const { return channels[3].name == 'A'; }
  /// Of pixels a block is about, over all planes: what an odd width is rounded up to in subsampled planes.
  [[nodiscard]] uint32_t horizontal() const;
  [[nodiscard]] uint32_t vertical() const;
  /// By its channels: "Y", "UV", "RGB".
  [[nodiscard]] std::string plane_name(size_t plane) const;
};

/// All of them, in the order they are listed to people.
std::span<const Format> formats();
/// Null: not one of ours.
const Format* find_format(uint32_t fourcc);
/// By any name that format_named() takes; null: not one of ours.
const Format* find_format(std::string_view name);
/// By four letters ("NV12", "R8  "), DRM's long name ("DRM_FORMAT_XRGB8888", "XRGB8888") or another
/// program's, in any case. EINVAL: it is unknown (with the nearest that is known), or known to DRM but can't
/// be shown.
Result<const Format*> format_named(std::string_view name);

/// "LINEAR", "I915_X_TILED (INTEL)", "ARM_AFBC_BLOCK_SIZE=16x16,MODE=SPARSE (ARM)", "0x100000000000077
/// (INTEL)": by drm_fourcc.h's name, else as libdrm writes it, with the vendor.
std::string modifier_name(uint64_t modifier);
/// A number, decimal or 0x hex, or a name of drm_fourcc.h ("LINEAR", "I915_X_TILED", in any case); EINVAL.
Result<uint64_t> modifier_named(std::string_view name);
/// Whether pixels are not only put in another order but packed: AFBC, AFRC, CCS, DCC and others.
bool is_compressed(uint64_t modifier);

}  // namespace dmabuffs::image
