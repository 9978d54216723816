// SPDX-License-Identifier: MIT
#include "dmabuffs/heap/drm_node.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xf86drm.h>
#include <xf86drmMode.h>

#include <algorithm>
#include <filesystem>
#include <limits>
#include <utility>

#include "dmabuffs/base/range.h"
#include "dmabuffs/heap/device.h"
#include "dmabuffs/heap/message.h"

namespace dmabuffs {

namespace {

constexpr uint32_t kBits = 32;  // a pixel; some drivers make nothing else (virtio_gpu)
constexpr uint64_t kPixel = kBits / 8;
constexpr uint64_t kMostBytes = std::numeric_limits<uint32_t>::max() - (kPage - 1);
const std::string kCard = "card";

/// A dumb buffer as a handle of the node, which ends with this. That is not the end of a dma-buf made of it.
class DumbBuffer {
 public:
  static Result<DumbBuffer> make(int card, uint32_t width, uint32_t height, uint32_t bits) {
    DumbBuffer made(card);
    const int failed =
        ::drmModeCreateDumbBuffer(card, width, height, bits, 0, &made.handle_, &made.pitch_, &made.size_);
    if (failed == 0) return made;
    made.card_ = -1;
    const int code = -failed;
    if (code == ENOMEM || code == ENOSPC)
      return fail(ENOMEM, "the display device has not enough memory; remove buffers");
    return fail_system(code == ENXIO ? ENODEV : code, "making a dumb buffer");
  }
  DumbBuffer(DumbBuffer&& other) noexcept
      : card_(std::exchange(other.card_, -1)),
        handle_(other.handle_),
        pitch_(other.pitch_),
        size_(other.size_) {}
  DumbBuffer& operator=(DumbBuffer&&) = delete;
  ~DumbBuffer() {
    if (card_ >= 0) ::drmModeDestroyDumbBuffer(card_, handle_);
  }
  [[nodiscard]] uint32_t pitch() const { return pitch_; }
  [[nodiscard]] uint64_t size() const { return size_; }
  [[nodiscard]] Result<UniqueFd> dmabuf() const {
    int fd = -1;
    if (::drmPrimeHandleToFD(card_, handle_, DRM_CLOEXEC | DRM_RDWR, &fd) != 0)
      return fail_system(errno, "exporting a dumb buffer");
    return UniqueFd(fd);
  }

 private:
  explicit DumbBuffer(int card) : card_(card) {}
  int card_;
  uint32_t handle_ = 0, pitch_ = 0;
  uint64_t size_ = 0;
};

bool can(int card, uint64_t capability, uint64_t wanted) {
  uint64_t value = 0;
  return ::drmGetCap(card, capability, &value) == 0 && (value & wanted) != 0;
}

}  // namespace

Result<DumbShape> dumb_shape(uint64_t bytes, uint64_t row_bytes) {
  const uint64_t row = round_up(row_bytes == 0 ? kPage : row_bytes, kPixel);
  if (bytes == 0) return fail(EINVAL, "a dma-buf can't be empty");
  if (row > kMostBytes || row < row_bytes) return fail(EINVAL, "a line can't be so long");
  const uint64_t lines = bytes / row + (bytes % row == 0 ? 0 : 1);
  if (lines > kMostBytes / row)
    return fail(EFBIG, size_text(bytes) + " are too much: a display's buffer is smaller than 4 GiB");
  return DumbShape{static_cast<uint32_t>(row / kPixel), static_cast<uint32_t>(lines)};
}

std::string drm_heap_name(const std::string& file_name) {
  const bool is_card = file_name.size() > kCard.size() && file_name.compare(0, kCard.size(), kCard) == 0 &&
                       std::all_of(file_name.begin() + static_cast<std::ptrdiff_t>(kCard.size()),
                                   file_name.end(), [](char c) { return c >= '0' && c <= '9'; });
  return is_card ? "drm-" + file_name : std::string();
}

Result<std::shared_ptr<DrmNode>> DrmNode::open(const std::string& node) {
  auto card = TRY(open_node(node));
  // Who opens the node while nobody is its master becomes it, and a compositor that starts later could then
  // show nothing. Dumb buffers need no master, but this node: a render node refuses to make them. That is
  // also why it stays open: to open it for each buffer would be to stand in somebody's way again and again.
  const bool is_free = ::drmDropMaster(card.get()) == 0 || ::drmIsMaster(card.get()) == 0;
  if (!can(card.get(), DRM_CAP_DUMB_BUFFER, 1) || !can(card.get(), DRM_CAP_PRIME, DRM_PRIME_CAP_EXPORT))
    return fail(EOPNOTSUPP, node + ": its driver makes no dumb buffers, or exports none");
  if (!is_free)
    return fail(EBUSY, node + ": this program became the display's master and can't let go of it");
  const auto page = DumbBuffer::make(card.get(), kPage / kPixel, 1, kBits);
  std::shared_ptr<DrmNode> opened(new DrmNode(std::move(card)));
  opened->granule_ = page ? std::max(round_up(page->size(), kPage), kPage) : kPage;
  return opened;
}

Result<UniqueFd> DrmNode::make(DumbShape shape) const {
  const auto buffer = TRY(DumbBuffer::make(card_.get(), shape.width, shape.height, kBits));
  return buffer.dmabuf();
}

Result<uint64_t> DrmNode::pitch(uint32_t width, uint32_t bits) const {
  const auto line = TRY(DumbBuffer::make(card_.get(), width, 1, bits));
  return uint64_t{line.pitch()};
}

bool DrmNode::is_at(const std::string& node) const {
  struct stat now {};
  struct stat held {};
  return ::stat(node.c_str(), &now) == 0 && ::fstat(card_.get(), &held) == 0 && now.st_rdev == held.st_rdev &&
         now.st_ino == held.st_ino && now.st_dev == held.st_dev;
}

DrmNodes::Found DrmNodes::look(const std::function<bool(const std::string&)>& wanted) {
  Found found;
  std::map<std::string, Seen> seen;
  std::error_code ignored;
  for (std::filesystem::directory_iterator entry(directory_, ignored), end; !ignored && entry != end;
       entry.increment(ignored)) {
    const std::string name = entry->path().filename().string(), heap = drm_heap_name(name);
    struct stat now {};
    if (heap.empty() || !wanted(heap) || ::stat(entry->path().c_str(), &now) != 0 || !S_ISCHR(now.st_mode))
      continue;
    const auto before = seen_.find(name);
    Seen here{now.st_rdev, now.st_ino, nullptr};
    if (before != seen_.end() && before->second.device == here.device && before->second.inode == here.inode) {
      here.node = before->second.node;
    } else {
      auto opened = DrmNode::open(entry->path().string());
      if (!opened && opened.error().code != EOPNOTSUPP) continue;
      if (opened) here.node = std::move(*opened);
    }
    if (here.node) found[heap] = here.node;
    seen[name] = std::move(here);
  }
  seen_ = std::move(seen);
  return found;
}

}  // namespace dmabuffs
