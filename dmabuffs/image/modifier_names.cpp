// SPDX-License-Identifier: MIT
#include <drm_fourcc.h>
#include <xf86drm.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <memory>

#include "dmabuffs/image/format.h"
#include "dmabuffs/image/words.h"

namespace dmabuffs::image {

namespace {

struct Fixed {
  uint64_t modifier;
  std::string_view name;
};

#define I915(name) \
  { I915_FORMAT_MOD_##name, "I915_" #name }
#define DRM(name) \
  { DRM_FORMAT_MOD_##name, #name }

/// Those that are one number in drm_fourcc.h, by its names, without what all of them have (FORMAT_MOD_). The
/// others are made of fields: libdrm writes them out.
constexpr auto kFixed = std::to_array<Fixed>({
    DRM(LINEAR),
    DRM(INVALID),
    I915(X_TILED),
    I915(Y_TILED),
    I915(Yf_TILED),
    I915(Y_TILED_CCS),
    I915(Yf_TILED_CCS),
    I915(Y_TILED_GEN12_RC_CCS),
    I915(Y_TILED_GEN12_MC_CCS),
    I915(Y_TILED_GEN12_RC_CCS_CC),
    I915(4_TILED),
    I915(4_TILED_DG2_RC_CCS),
    I915(4_TILED_DG2_MC_CCS),
    I915(4_TILED_DG2_RC_CCS_CC),
    // Later than the oldest libdrm that will do (2.4.114).
    {fourcc_mod_code(INTEL, 13), "I915_4_TILED_MTL_RC_CCS"},
    {fourcc_mod_code(INTEL, 14), "I915_4_TILED_MTL_MC_CCS"},
    {fourcc_mod_code(INTEL, 15), "I915_4_TILED_MTL_RC_CCS_CC"},
    {fourcc_mod_code(INTEL, 16), "I915_4_TILED_LNL_CCS"},
    {fourcc_mod_code(INTEL, 17), "I915_4_TILED_BMG_CCS"},
    DRM(SAMSUNG_64_32_TILE),
    DRM(SAMSUNG_16_16_TILE),
    DRM(QCOM_COMPRESSED),
    DRM(QCOM_TILED2),
    DRM(QCOM_TILED3),
    DRM(VIVANTE_TILED),
    DRM(VIVANTE_SUPER_TILED),
    DRM(VIVANTE_SPLIT_TILED),
    DRM(VIVANTE_SPLIT_SUPER_TILED),
    DRM(NVIDIA_TEGRA_TILED),
    DRM(BROADCOM_VC4_T_TILED),
    DRM(BROADCOM_UIF),
    DRM(ARM_16X16_BLOCK_U_INTERLEAVED),
    DRM(ALLWINNER_TILED),
});

#undef I915
#undef DRM

/// What libdrm allocates: empty where it knows nothing.
std::string taken(char* text) {
  const std::unique_ptr<char, decltype(&std::free)> owned(text, &std::free);
  return text == nullptr ? "" : text;
}

std::string hex(uint64_t value) {
  std::array<char, 16> digits{};
  const auto end = std::to_chars(digits.begin(), digits.end(), value, 16).ptr;
  return "0x" + std::string(digits.begin(), end);
}

uint64_t vendor_of(uint64_t modifier) {
  return modifier >> 56;
}

bool is_arm(uint64_t modifier, uint64_t type) {
  return vendor_of(modifier) == DRM_FORMAT_MOD_VENDOR_ARM && (modifier >> 52 & 0xf) == type;
}

/// drm_fourcc.h's own way to write it: "I915_FORMAT_MOD_X_TILED", "DRM_FORMAT_MOD_LINEAR".
std::string without_format_mod(std::string_view word) {
  constexpr std::string_view kDrm = "DRM_FORMAT_MOD_", kIntel = "I915_FORMAT_MOD_";
  if (same_word(word.substr(0, kDrm.size()), kDrm)) return std::string(word.substr(kDrm.size()));
  if (same_word(word.substr(0, kIntel.size()), kIntel))
    return "I915_" + std::string(word.substr(kIntel.size()));
  return std::string(word);
}

}  // namespace

bool is_compressed(uint64_t modifier) {
  switch (vendor_of(modifier)) {
    case DRM_FORMAT_MOD_VENDOR_INTEL: {
      const auto fixed = std::ranges::find(kFixed, modifier, &Fixed::modifier);
      return fixed != kFixed.end() && fixed->name.find("CCS") != std::string_view::npos;
    }
    case DRM_FORMAT_MOD_VENDOR_AMD:
      return AMD_FMT_MOD_GET(DCC, modifier) != 0;
    case DRM_FORMAT_MOD_VENDOR_NVIDIA:
      return (modifier >> 4 & 1) != 0 && (modifier >> 23 & 7) != 0;  // DRM_FORMAT_MOD_NVIDIA_BLOCK_LINEAR_2D
    case DRM_FORMAT_MOD_VENDOR_QCOM:
      return modifier == DRM_FORMAT_MOD_QCOM_COMPRESSED;
    case DRM_FORMAT_MOD_VENDOR_ARM:
      return is_arm(modifier, DRM_FORMAT_MOD_ARM_TYPE_AFBC) || is_arm(modifier, DRM_FORMAT_MOD_ARM_TYPE_AFRC);
    case DRM_FORMAT_MOD_VENDOR_AMLOGIC:
      return true;  // all of theirs
    default:
      return false;
  }
}

std::string modifier_name(uint64_t modifier) {
  if (modifier == DRM_FORMAT_MOD_LINEAR) return "LINEAR";
  if (modifier == DRM_FORMAT_MOD_INVALID) return "INVALID";
  std::string vendor = taken(::drmGetFormatModifierVendor(modifier));
  if (vendor.empty() || vendor == "NONE") vendor = "unknown vendor";
  const std::string behind = " (" + vendor + ")";
  const auto fixed = std::ranges::find(kFixed, modifier, &Fixed::modifier);
  if (fixed != kFixed.end()) return std::string(fixed->name) + behind;
  const std::string name = taken(::drmGetFormatModifierName(modifier));
  const std::string type = is_arm(modifier, DRM_FORMAT_MOD_ARM_TYPE_AFBC)   ? "AFBC_"
                           : is_arm(modifier, DRM_FORMAT_MOD_ARM_TYPE_AFRC) ? "AFRC_"
                                                                            : "";
  if (name.empty()) return type + hex(modifier) + behind;
  return vendor + "_" + type + name + behind;
}

Result<uint64_t> modifier_named(std::string_view name) {
  if (const auto value = number_or_hex(name)) return *value;
  const std::string word = without_format_mod(name.substr(0, name.find(" (")));
  const auto found =
      std::ranges::find_if(kFixed, [&](const Fixed& fixed) { return same_word(fixed.name, word); });
  if (found != kFixed.end()) return found->modifier;
  // All of their layouts have fields, so that there is no number to it.
  if (same_word(word, "AFBC") || same_word(word, "AFRC") || same_word(word, "UBWC"))
    return fail(EINVAL, "modifier " + in_quotes(name) +
                            ": a vendor's compressed layout, which can't be shown; have the picture's maker "
                            "write it linear");
  return fail(EINVAL, "modifier " + in_quotes(name) +
                          ": not known; write LINEAR, a name such as I915_X_TILED, or its number");
}

}  // namespace dmabuffs::image
