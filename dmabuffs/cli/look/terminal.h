// SPDX-License-Identifier: MIT
/// A picture on the terminal: by kitty's graphics protocol, which several know, else in half blocks.
#pragma once
#include <cstdint>

#include "dmabuffs/base/result.h"
#include "dmabuffs/cli/look/colours.h"

namespace dmabuffs::cli {

struct Terminal {
  uint32_t columns = 80, rows = 24;  ///< of characters
  uint32_t width = 0, height = 0;    ///< pixels
  bool takes_pictures = false;       ///< by kitty's protocol
};

/// Of a descriptor that is a terminal, by what it and the environment say. ENOTTY, with the remedy: it can
/// show none.
Result<Terminal> terminal_at(int fd);

/// Pixels of a picture of `width` x `height` that is made as small as that room; never larger.
struct Extent {
  uint32_t width, height;
};
Extent fitted(Extent picture, Extent room);

/// Draws on standard output, and leaves the cursor below.
Result<void> draw(const Terminal& terminal, const image::Picture& picture, const image::ReadAt& read,
                  const image::Look& look);

}  // namespace dmabuffs::cli
