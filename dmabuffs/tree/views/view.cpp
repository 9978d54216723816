// SPDX-License-Identifier: MIT
#include "dmabuffs/tree/views/view.h"

#include <algorithm>
#include <functional>
#include <mutex>

#include "dmabuffs/tree/describe.h"
#include "dmabuffs/tree/views/rendering.h"

namespace dmabuffs {

namespace {

/// Renders while it is read. Of what was made only what was not yet read is kept: who reads backwards has it
/// made again from the start.
class OpenView final : public OpenFile {
 public:
  using Start = std::function<std::unique_ptr<Rendering>()>;
  OpenView(BufferFile::Use use, Share share, std::shared_ptr<std::atomic<uint64_t>> size, Start start)
      : use_(std::move(use)), share_(std::move(share)), size_(std::move(size)), start_(std::move(start)) {}

  Result<size_t> read(uint64_t offset, std::span<std::byte> to) override {
    return read_until(CancelToken(), offset, to);
  }
  /// What was made when it is cancelled counts for the next read, so that who is interrupted often gets on.
  Result<size_t> read_until(const CancelToken& cancel, uint64_t offset, std::span<std::byte> to) override {
    const std::lock_guard lock(mutex_);
    if (offset < begin_ || !rendering_) restart();
    for (bool made = false; more_ && begin_ + made_.size() < offset + to.size(); made = true) {
      if (cancel.cancelled(made)) return fail_errno(EINTR, "a view");
      // What nobody asked for is not kept.
      const uint64_t behind = std::min<uint64_t>(offset - begin_, made_.size());
      made_.erase(made_.begin(), made_.begin() + static_cast<ptrdiff_t>(behind));
      begin_ += behind;
      auto more = rendering_->more(made_);
      if (!more) {
        rendering_ = nullptr;
        return pass(std::move(more));
      }
      more_ = *more;
    }
    if (!more_) size_->store(begin_ + made_.size(), std::memory_order_relaxed);
    const uint64_t from = offset - begin_;
    if (from >= made_.size()) return 0;
    const size_t length = std::min<uint64_t>(to.size(), made_.size() - from);
    std::copy_n(made_.begin() + static_cast<ptrdiff_t>(from), length, to.begin());
    return length;
  }
  Result<End> transfer_end(Access) override { return fail_errno(EOPNOTSUPP, "a view"); }

 private:
  void restart() {
    made_.clear();
    begin_ = 0;
    more_ = true;
    rendering_ = start_();
  }

  const BufferFile::Use use_;
  const Share share_;
  const std::shared_ptr<std::atomic<uint64_t>> size_;
  const Start start_;
  std::mutex mutex_;
  std::unique_ptr<Rendering> rendering_;
  std::vector<std::byte> made_;  ///< from begin_ on
  uint64_t begin_ = 0;
  bool more_ = true;
};

Result<image::Picture> showable(const BufferFile& buffer) {
  const auto known = buffer.picture();
  if (!known) return fail(ENODATA, "nobody said what picture it is; dmabuffs format does");
  TRY(image::check_linear(known->picture));
  TRY(image::check_fits(known->picture, buffer.info().size));
  return known->picture;
}

}  // namespace

Result<struct stat> ViewFile::getattr(const Caller& caller, OpenFile*) {
  const auto buffer = buffer_.lock();
  if (!buffer) return fail_errno(ESTALE, "a view");
  struct stat st = TRY(buffer->getattr(caller, nullptr));
  st.st_ino = ino();
  st.st_nlink = 1;
  st.st_mode = S_IFREG | (st.st_mode & 0444);
  st.st_size = static_cast<off_t>(size_->load(std::memory_order_relaxed));
  st.st_blocks = (st.st_size + 511) / 512;  // with less, cp takes it for a hole
  return st;
}

Result<OpenPtr> ViewFile::open(const Caller& caller, int flags) {
  if ((flags & O_ACCMODE) != O_RDONLY) return fail(EACCES, "a view can only be read");
  const auto buffer = buffer_.lock();
  if (!buffer) return fail_errno(ESTALE, "a view");
  auto share = TRY(context_.shares.take_name(caller.uid, Rendering::kMemory));
  auto use = TRY(buffer->opened());
  const std::shared_ptr<Buffer> bytes = use.buffer();
  const auto known = buffer->picture();
  OpenView::Start start;
  if (kind_ == ViewKind::Png) {
    const auto picture = showable(*buffer);
    if (!picture) {
      const std::string message = buffer->path() + ": no view of it: " + picture.error().message;
      context_.engine.counters().refuse(message);
      return fail(picture.error().code, message);
    }
    start = [bytes, picture = *picture] { return render_png(bytes, picture); };
  } else if (kind_ == ViewKind::Json) {
    start = [text = to_text(TRY(describe(*buffer, caller)), 2) + "\n"] { return render_text(text); };
  } else {
    start = [bytes, known] {
      return render_hex(bytes, known ? std::optional(known->picture) : std::nullopt);
    };
  }
  return std::make_shared<OpenView>(std::move(use), std::move(share), size_, std::move(start));
}

}  // namespace dmabuffs
