// SPDX-License-Identifier: MIT
/// How two files differ, and how that is told.
///
/// Where a picture is known of both, what is compared is: the whole frames that both have, laid out as each
/// file has them; then, where no sample of them differs, their bits that are no pixels; then what lies behind
/// the last frame. Padding and what lies behind can be compared only in files that are laid out alike. Else
/// it is bytes.
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
  std::array<uint64_t, 2> frames{};                        ///< whole ones in each file, behind one another
  std::optional<uint64_t> only;                            ///< this frame; without: all
  uint32_t tolerance = 0;

  [[nodiscard]] bool has_pictures() const { return picture[0] && picture[1]; }
  /// Of one format and size.
  [[nodiscard]] bool comparable() const {
    return picture[0]->format == picture[1]->format && picture[0]->width == picture[1]->width &&
           picture[0]->height == picture[1]->height;
  }
  [[nodiscard]] bool laid_out_alike() const { return picture[0] == picture[1]; }
  [[nodiscard]] uint64_t first_frame() const { return only.value_or(0); }
  /// Behind the last frame that is compared.
  [[nodiscard]] uint64_t end_frame() const { return only ? *only + 1 : std::min(frames[0], frames[1]); }
  [[nodiscard]] uint64_t frames_compared() const { return end_frame() - first_frame(); }
  [[nodiscard]] bool as_many_frames() const { return only || frames[0] == frames[1]; }
  [[nodiscard]] image::ReadAt reader(size_t side, uint64_t frame) const;
};

/// Of bytes: how many differ, among those that both have.
struct ByteDifference {
  uint64_t count = 0;
  std::optional<uint64_t> first;
  std::array<uint8_t, 2> values{};
};

/// What lies behind the last whole frame, where both files have as many of them.
struct Behind {
  std::array<uint64_t, 2> bytes{};
  bool compared = false;  ///< the files are laid out alike
  std::optional<uint64_t>
      first;  ///< of the bytes that both have, the first that differs: its place in either file
  [[nodiscard]] bool differs() const { return compared && (first || bytes[0] != bytes[1]); }
};

struct Findings {
  std::array<uint64_t, 2> sizes{};
  bool other_pictures = false;           ///< of different formats or sizes: nothing was compared
  std::optional<ByteDifference> bytes;   ///< without pictures
  std::optional<image::Difference> all;  ///< of all pictures together, `first` that of the first frame
  uint64_t frame = 0;                    ///< that `first` is in, else the first that was compared
  bool padding_differs = false;          ///< bits that are no pixels, and no sample
  std::optional<Behind> behind;          ///< nothing: there are no bytes, or they were not asked about
  [[nodiscard]] bool same(const Sides& sides) const;
};
Result<Findings> find_differences(const Sides& sides);

std::string to_lines(const Findings& findings, const Sides& sides);
Json to_json(const Findings& findings, const Sides& sides);

/// A in grey and dark, what differs in red.
Result<void> write_marked(const Sides& sides, uint64_t frame, const std::string& path);

}  // namespace dmabuffs::cli
