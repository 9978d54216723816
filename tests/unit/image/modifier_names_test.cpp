// SPDX-License-Identifier: MIT
#include <drm_fourcc.h>

#include "catch.h"
#include "dmabuffs/image/format.h"

using namespace dmabuffs::image;

namespace {

constexpr uint64_t kAfbc = DRM_FORMAT_MOD_ARM_AFBC(AFBC_FORMAT_MOD_BLOCK_SIZE_16x16 | AFBC_FORMAT_MOD_SPARSE);
constexpr uint64_t kDcc = AMD_FMT_MOD | AMD_FMT_MOD_SET(TILE_VERSION, AMD_FMT_MOD_TILE_VER_GFX10) |
                          AMD_FMT_MOD_SET(TILE, AMD_FMT_MOD_TILE_GFX9_64K_S) | AMD_FMT_MOD_SET(DCC, 1);

bool contains(const std::string& text, const char* part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("modifiers: fixed ones have drm_fourcc.h's name and the vendor") {
  CHECK(modifier_name(DRM_FORMAT_MOD_LINEAR) == "LINEAR");
  CHECK(modifier_name(DRM_FORMAT_MOD_INVALID) == "INVALID");
  CHECK(modifier_name(I915_FORMAT_MOD_X_TILED) == "I915_X_TILED (INTEL)");
  CHECK(modifier_name(I915_FORMAT_MOD_Yf_TILED_CCS) == "I915_Yf_TILED_CCS (INTEL)");
  CHECK(modifier_name(DRM_FORMAT_MOD_SAMSUNG_64_32_TILE) == "SAMSUNG_64_32_TILE (SAMSUNG)");
  CHECK(modifier_name(DRM_FORMAT_MOD_BROADCOM_VC4_T_TILED) == "BROADCOM_VC4_T_TILED (BROADCOM)");
}

TEST_CASE("modifiers: those made of fields have libdrm's name and the vendor; AFBC is called so") {
  CHECK(modifier_name(kAfbc) == "ARM_AFBC_BLOCK_SIZE=16x16,MODE=SPARSE (ARM)");
  CHECK(contains(modifier_name(DRM_FORMAT_MOD_ARM_AFBC(0)), "AFBC"));
  CHECK(contains(modifier_name(DRM_FORMAT_MOD_ARM_AFRC(AFRC_FORMAT_MOD_CU_SIZE_P0(1))), "ARM_AFRC_"));
  CHECK(contains(modifier_name(kDcc), "DCC"));
  CHECK(contains(modifier_name(kDcc), "(AMD)"));
}

TEST_CASE("modifiers: unknown ones are a number, with the vendor if there is one of that number") {
  CHECK(modifier_name(fourcc_mod_code(INTEL, 0x7777)) == "0x100000000007777 (INTEL)");
  CHECK(modifier_name(0x7700000000000001) == "0x7700000000000001 (unknown vendor)");
  CHECK(modifier_name(5) == "0x5 (unknown vendor)");
  CHECK(modifier_name(UINT64_MAX) == "0xffffffffffffffff (unknown vendor)");
}

TEST_CASE("modifiers by name: numbers, and names in any case and in drm_fourcc.h's own spelling") {
  CHECK(modifier_named("0") == uint64_t{0});
  CHECK(modifier_named("LINEAR") == uint64_t{0});
  CHECK(modifier_named("linear") == uint64_t{0});
  CHECK(modifier_named("72057594037927937") == uint64_t{I915_FORMAT_MOD_X_TILED});
  CHECK(modifier_named("0x100000000000001") == uint64_t{I915_FORMAT_MOD_X_TILED});
  CHECK(modifier_named("0X0100000000000002") == uint64_t{I915_FORMAT_MOD_Y_TILED});
  CHECK(modifier_named("18446744073709551615") == UINT64_MAX);
  CHECK(modifier_named("i915_x_tiled") == uint64_t{I915_FORMAT_MOD_X_TILED});
  CHECK(modifier_named("I915_FORMAT_MOD_X_TILED") == uint64_t{I915_FORMAT_MOD_X_TILED});
  CHECK(modifier_named("DRM_FORMAT_MOD_QCOM_COMPRESSED") == uint64_t{DRM_FORMAT_MOD_QCOM_COMPRESSED});
  CHECK(modifier_named("INVALID") == uint64_t{DRM_FORMAT_MOD_INVALID});
}

TEST_CASE("modifiers by name: a family of layouts is none, and said to be one") {
  for (const char* name : {"AFBC", "afbc", "AFRC", "UBWC"}) {
    const auto found = modifier_named(name);
    REQUIRE_FALSE(found);
    CHECK(contains(found.error().message, "a vendor's compressed layout, which can't be shown"));
  }
}

TEST_CASE("modifiers by name: each fixed one is read as it is written") {
  for (const uint64_t modifier : std::initializer_list<uint64_t>{
           DRM_FORMAT_MOD_LINEAR, DRM_FORMAT_MOD_INVALID, I915_FORMAT_MOD_X_TILED, I915_FORMAT_MOD_Y_TILED,
           I915_FORMAT_MOD_Yf_TILED, I915_FORMAT_MOD_Y_TILED_CCS, I915_FORMAT_MOD_4_TILED,
           DRM_FORMAT_MOD_SAMSUNG_64_32_TILE, DRM_FORMAT_MOD_QCOM_COMPRESSED, DRM_FORMAT_MOD_VIVANTE_TILED,
           DRM_FORMAT_MOD_VIVANTE_SPLIT_SUPER_TILED, DRM_FORMAT_MOD_NVIDIA_TEGRA_TILED,
           DRM_FORMAT_MOD_BROADCOM_VC4_T_TILED, DRM_FORMAT_MOD_ALLWINNER_TILED}) {
    INFO(modifier_name(modifier));
    CHECK(modifier_named(modifier_name(modifier)) == modifier);
  }
}

TEST_CASE("modifiers by name: anything else is refused") {
  for (const char* name : {"", "tiles", "0x", "0xg", "-1", "1 ", "18446744073709551616", "LINEARX", "1,2"}) {
    INFO(name);
    const auto modifier = modifier_named(name);
    REQUIRE(!modifier);
    CHECK(modifier.error().code == EINVAL);
    CHECK(contains(modifier.error().message, "write LINEAR, a name such as I915_X_TILED, or its number"));
  }
}

TEST_CASE("modifiers: which of them are compressed") {
  for (const uint64_t modifier : std::initializer_list<uint64_t>{
           kAfbc, DRM_FORMAT_MOD_ARM_AFRC(1), kDcc, I915_FORMAT_MOD_Y_TILED_CCS,
           I915_FORMAT_MOD_4_TILED_DG2_MC_CCS, DRM_FORMAT_MOD_QCOM_COMPRESSED,
           DRM_FORMAT_MOD_AMLOGIC_FBC(1, 0), DRM_FORMAT_MOD_NVIDIA_BLOCK_LINEAR_2D(1, 1, 2, 6, 3)}) {
    INFO(modifier_name(modifier));
    CHECK(is_compressed(modifier));
  }
  for (const uint64_t modifier : std::initializer_list<uint64_t>{
           DRM_FORMAT_MOD_LINEAR, DRM_FORMAT_MOD_INVALID, I915_FORMAT_MOD_X_TILED, I915_FORMAT_MOD_4_TILED,
           AMD_FMT_MOD, DRM_FORMAT_MOD_QCOM_TILED3, DRM_FORMAT_MOD_ARM_16X16_BLOCK_U_INTERLEAVED,
           DRM_FORMAT_MOD_NVIDIA_BLOCK_LINEAR_2D(0, 1, 2, 6, 3), DRM_FORMAT_MOD_BROADCOM_SAND128}) {
    INFO(modifier_name(modifier));
    CHECK(!is_compressed(modifier));
  }
}
