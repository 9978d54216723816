// SPDX-License-Identifier: MIT
/// The nodes of display devices, /dev/dri/cardN, and the dumb buffers they make: memory that the device can
/// scan out and any CPU may fill.
#pragma once
#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "dmabuffs/base/result.h"
#include "dmabuffs/base/unique_fd.h"

namespace dmabuffs {

/// Width in pixels and lines of a dumb buffer of 32 bits a pixel.
struct DumbShape {
  uint32_t width = 0, height = 0;
};

/// One that holds `bytes` in lines of `row_bytes`, whose last line may be longer than need be; 0: lines of a
/// page. EINVAL: no bytes, or a line that is too long. EFBIG: more than the kernel makes (its sizes have 32
/// bits).
Result<DumbShape> dumb_shape(uint64_t bytes, uint64_t row_bytes);

/// "drm-card0" of "card0"; empty: that is no display's node.
std::string drm_heap_name(const std::string& file_name);

/// An open node that makes dumb buffers and exports them. Thread-safe.
class DrmNode {
 public:
  /// EACCES says who may and the remedy, ENODEV that it is gone; EOPNOTSUPP: it makes none; EBUSY: it can't
  /// be opened without taking the display from others.
  static Result<std::shared_ptr<DrmNode>> open(const std::string& node);

  /// A dma-buf of that shape, which lives by itself: the node forgets it. It may be larger.
  [[nodiscard]] Result<UniqueFd> make(DumbShape shape) const;
  /// Bytes from one line to the next that the driver gives lines of `width` blocks of `bits`. EINVAL: it
  /// makes none of that kind.
  [[nodiscard]] Result<uint64_t> pitch(uint32_t width, uint32_t bits) const;
  /// What sizes are multiples of, as far as could be seen: a page or more.
  [[nodiscard]] uint64_t granule() const { return granule_; }
  /// Whether `node` is still this device.
  [[nodiscard]] bool is_at(const std::string& node) const;

 private:
  explicit DrmNode(UniqueFd card) : card_(std::move(card)) {}

  UniqueFd card_;
  uint64_t granule_ = 0;
};

/// Those of a directory, by their heaps' names. Each is opened once, and stays open while it is there.
class DrmNodes {
 public:
  /// `directory`: /dev/dri.
  explicit DrmNodes(std::string directory) : directory_(std::move(directory)) {}

  using Found = std::map<std::string, std::shared_ptr<DrmNode>>;
  /// Looks anew, at those whose heap is `wanted`; what can't be opened is tried again each time.
  Found look(const std::function<bool(const std::string& heap)>& wanted);

 private:
  struct Seen {
    dev_t device = 0;
    ino_t inode = 0;
    std::shared_ptr<DrmNode> node;  ///< null: it makes no dumb buffers
  };
  const std::string directory_;
  std::map<std::string, Seen> seen_;  // by file name
};

}  // namespace dmabuffs
