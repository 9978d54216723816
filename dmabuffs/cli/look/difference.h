// SPDX-License-Identifier: MIT
/// How two files differ, and how that is told.
#pragma once
#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "dmabuffs/base/result.h"
#include "dmabuffs/cli/look/source.h"
#include "dmabuffs/control/message.h"
#include "dmabuffs/image/compare.h"
#include "dmabuffs/image/picture.h"

namespace dmabuffs::cli {

struct Sides {
  std::array<Source*, 2> source{};
  std::array<std::optional<image::Picture>, 2> picture{};  ///< none: bytes are compared
  std::array<uint64_t, 2> offset{};                        ///< where the first of them begins
  std::array<uint64_t, 2> frames{1, 1};                    ///< pictures behind one another, of one layout
  uint32_t tolerance = 0;

  [[nodiscard]] bool has_pictures() const { return picture[0] && picture[1]; }
  [[nodiscard]] uint64_t common_frames() const { return std::min(frames[0], frames[1]); }
  [[nodiscard]] image::ReadAt reader(size_t side, uint64_t frame) const;
};

/// Of bytes: how many differ, among those that both have.
struct ByteDifference {
  uint64_t count = 0;
  std::optional<uint64_t> first;
  std::array<uint8_t, 2> values{};
};
/// `only_first`: no further than that.
Result<ByteDifference> compare_bytes(const Sides& sides, bool only_first);

struct Findings {
  std::array<uint64_t, 2> sizes{};
  bool other_pictures = false;           ///< of different formats or sizes: nothing was compared
  std::optional<ByteDifference> bytes;   ///< without pictures
  std::optional<image::Difference> all;  ///< of all pictures together, `first` that of the first frame
  uint64_t frame = 0;                    ///< that `first` is in
  bool padding_differs = false;          ///< and no pixel
  [[nodiscard]] bool same(const Sides& sides) const;
};
Result<Findings> find_differences(const Sides& sides);

std::string to_lines(const Findings& findings, const Sides& sides);
Json to_json(const Findings& findings, const Sides& sides);

/// A in grey and dark, what differs in red.
Result<void> write_marked(const Sides& sides, uint64_t frame, const std::string& path);

}  // namespace dmabuffs::cli
