// SPDX-License-Identifier: MIT
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "dmabuffs/base/result.h"

namespace dmabuffs::image {

/// Writes a PNG as its rows come. Bytes go to `sink`, which may fail; so does what called it, then.
class PngWriter {
 public:
  using Sink = std::function<Result<void>(std::span<const std::byte>)>;
  PngWriter(uint32_t width, uint32_t height, bool alpha, Sink sink);
  ~PngWriter();
  PngWriter(PngWriter&&) noexcept;
  PngWriter& operator=(PngWriter&&) noexcept;
  /// Whole rows of RGBA, 4 bytes a pixel; without `alpha` the fourth is left out. ENOMEM.
  Result<void> write(std::span<const uint8_t> rgba);
  /// After the last row.
  Result<void> finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace dmabuffs::image
