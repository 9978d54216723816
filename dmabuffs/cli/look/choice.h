// SPDX-License-Identifier: MIT
/// Which picture is in a file: as the options say, its mount knows or its name tells.
#pragma once
#include <cstdint>
#include <optional>

#include "dmabuffs/base/result.h"
#include "dmabuffs/cli/look/source.h"
#include "dmabuffs/image/picture.h"

namespace dmabuffs::cli {

struct Choice {
  image::Picture picture;
};

/// Nothing: nobody says. What `words` leave open is completed by what is known. `set_first`: what the mount
/// was told goes before them, which is said where it is another. A guess is said on standard error. EINVAL:
/// the words can't be.
Result<std::optional<Choice>> choose_picture(const Source& source, const std::string& path,
                                             const image::PictureWords& words, bool set_first);

/// Bytes from one picture to the next in a file of several.
uint64_t frame_bytes(const image::Picture& picture);
/// Where the first of them begins: what comes before it is of none.
uint64_t first_byte(const image::Picture& picture);
/// How many of them lie whole in `size` bytes; the padding of the last row need not be there.
uint64_t whole_frames(const image::Picture& picture, uint64_t size);

/// Whether picture number `frame` can be read. Names the file.
Result<void> check_readable(const image::Picture& picture, const Source& source, uint64_t frame);

/// "NV12 1920x1080".
std::string short_text(const image::Picture& picture);
/// The same where rows have no padding and planes follow one another; else with strides and offsets.
std::string layout_text(const image::Picture& picture);
/// That picture as files have it: linear, without padding.
image::Picture without_padding(const image::Picture& picture);

}  // namespace dmabuffs::cli
