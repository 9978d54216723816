// SPDX-License-Identifier: MIT
/// The bytes of a view as they are made, a part at a time.
#pragma once
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "dmabuffs/image/picture.h"
#include "dmabuffs/tree/heaps/buffer_file.h"

namespace dmabuffs {

/// Of a buffer's bytes as they are just then. How many there are is known before.
class Rendering {
 public:
  virtual ~Rendering() = default;
  /// Goes on at `offset`, or before it where it has to; returns where.
  virtual uint64_t go_to(uint64_t offset) = 0;
  /// Appends some more; false: that was all.
  virtual Result<bool> more(std::vector<std::byte>& to) = 0;
};

/// `picture` must be in rows, and fit.
std::unique_ptr<Rendering> render_png(std::shared_ptr<Buffer> buffer, const std::string& name,
                                      const image::Picture& picture);
uint64_t png_size(const image::Picture& picture);
/// `picture`, if any, must be in rows.
std::unique_ptr<Rendering> render_hex(std::shared_ptr<Buffer> buffer, std::optional<image::Picture> picture);
std::unique_ptr<Rendering> render_text(std::string text);

/// What one takes of the daemon's memory, with what is read of it: a few rows of the picture, twice.
uint64_t rendering_memory(const std::optional<image::Picture>& picture);

}  // namespace dmabuffs
