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

/// Of a buffer's bytes as they are just then, from the beginning on.
class Rendering {
 public:
  virtual ~Rendering() = default;
  /// Appends some more; false: that was all.
  virtual Result<bool> more(std::vector<std::byte>& to) = 0;
  /// What one may take at once, beside what it is given to append to: a band of rows, and what compresses it.
  static constexpr uint64_t kMemory = 2 << 20;
};

/// `buffer` must live as long. The picture must be in rows, and fit.
std::unique_ptr<Rendering> render_png(std::shared_ptr<Buffer> buffer, const image::Picture& picture);
std::unique_ptr<Rendering> render_hex(std::shared_ptr<Buffer> buffer, std::optional<image::Picture> picture);
std::unique_ptr<Rendering> render_text(std::string text);

}  // namespace dmabuffs
