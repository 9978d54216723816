// SPDX-License-Identifier: MIT
#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <string_view>

#include "dmabuffs/tree/heaps/buffer_file.h"
#include "dmabuffs/tree/static_directory.h"

namespace dmabuffs {

enum class ViewKind { Png, Json, Hex };
inline constexpr std::array<std::string_view, 3> kViewSuffixes{".png", ".json", ".hex"};  // in this order

/// What picture of a buffer can be shown: ENODATA (nobody says what it is), ENOTSUP (tiled), EINVAL (more
/// than there is).
Result<image::Picture> showable(const BufferFile& buffer);

/// One view of a buffer: who may read that may read this. It keeps no buffer; of one that is gone it is
/// ESTALE.
class ViewFile : public Node {
 public:
  ViewFile(MountContext& context, uint64_t ino, const std::shared_ptr<BufferFile>& buffer, ViewKind kind)
      : Node(ino), context_(context), buffer_(buffer), kind_(kind) {}

  /// All that it takes to make it is read again by each who opens it.
  [[nodiscard]] bool asks_others() const override { return true; }
  Result<struct stat> getattr(const Caller&, OpenFile*) override;
  /// EACCES: to write. EMFILE: its reader has too many open. What showable() refuses; the reason is among the
  /// refusals in `status`.
  Result<OpenPtr> open(const Caller& caller, int flags) override;
  Result<struct statvfs> statfs(const Caller&) override { return budget_statvfs(context_); }

 private:
  [[nodiscard]] Result<uint64_t> size(BufferFile& buffer, const Caller& caller) const;

  MountContext& context_;
  const std::weak_ptr<BufferFile> buffer_;
  const ViewKind kind_;
};

}  // namespace dmabuffs
