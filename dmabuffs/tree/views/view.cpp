// SPDX-License-Identifier: MIT
#include "dmabuffs/tree/views/view.h"

#include <algorithm>
#include <functional>
#include <mutex>

#include "dmabuffs/image/hex.h"
#include "dmabuffs/tree/describe.h"
#include "dmabuffs/tree/views/rendering.h"

namespace dmabuffs {

namespace {

/// Renders while it is read. Of what was made only what was not yet read is kept: who reads backwards has it
/// made again.
class OpenView final : public OpenFile {
 public:
  using Start = std::function<std::unique_ptr<Rendering>()>;
  OpenView(BufferFile::Use use, Share share, Start start)
      : use_(std::move(use)), share_(std::move(share)), start_(std::move(start)) {}

  Result<size_t> read(uint64_t offset, std::span<std::byte> to) override {
    return read_until(CancelToken(), offset, to);
  }
  /// What was made when it is cancelled counts for the next read, so that who is interrupted often gets on.
  Result<size_t> read_until(const CancelToken& cancel, uint64_t offset, std::span<std::byte> to) override {
    const std::lock_guard lock(mutex_);
    size_t done = 0;
    for (bool made = false; done < to.size();) {
      const uint64_t at = offset + done;
      if (at >= begin_ && at < end()) {
        const auto found = std::span(made_).subspan(at - begin_);
        const size_t length = std::min(found.size(), to.size() - done);
        std::copy_n(found.begin(), length, to.begin() + static_cast<ptrdiff_t>(done));
        done += length;
      } else if (at == end() && !more_) {
        break;
      } else if (cancel.cancelled(made)) {
        return fail_errno(EINTR, "a view");
      } else {
        TRY(make(at));
        if (at >= end() && !more_) break;
        made = true;
      }
    }
    return done;
  }
  Result<End> transfer_end(Access) override { return fail_errno(EOPNOTSUPP, "a view"); }

 private:
  [[nodiscard]] uint64_t end() const { return begin_ + made_.size(); }
  /// The next part, towards the one that has the byte at `at`.
  Result<void> make(uint64_t at) {
    const bool goes_on = rendering_ && at == end();
    if (!rendering_) rendering_ = start_();
    begin_ = goes_on ? at : rendering_->go_to(at);
    made_.clear();
    auto more = rendering_->more(made_);
    if (!more) rendering_.reset();
    more_ = TRY(more);
    return {};
  }

  const BufferFile::Use use_;
  const Share share_;
  const Start start_;
  std::mutex mutex_;
  std::unique_ptr<Rendering> rendering_;
  std::vector<std::byte> made_;  ///< from begin_ on
  uint64_t begin_ = 0;
  bool more_ = true;
};

/// What hex says planes and rows of.
std::optional<image::Picture> in_rows(const BufferFile& buffer) {
  const auto known = buffer.picture();
  if (!known || !image::check_linear(known->picture)) return std::nullopt;
  return known->picture;
}

Result<std::string> json_text(BufferFile& buffer, const Caller& caller) {
  return to_text(TRY(describe(buffer, caller)), 2) + "\n";
}

}  // namespace

Result<image::Picture> showable(const BufferFile& buffer) {
  const auto known = buffer.picture();
  if (!known) return fail(ENODATA, "nobody said what picture it is; dmabuffs format does");
  TRY(image::check_linear(known->picture));
  TRY(image::check_fits(known->picture, buffer.info().size));
  return known->picture;
}

Result<uint64_t> ViewFile::size(BufferFile& buffer, const Caller& caller) const {
  switch (kind_) {
    case ViewKind::Png:
      return png_size(TRY(showable(buffer)));
    case ViewKind::Json:
      return TRY(json_text(buffer, caller)).size();
    case ViewKind::Hex:
      break;
  }
  const auto picture = in_rows(buffer);
  return image::hex_size(buffer.info().size, picture ? &*picture : nullptr);
}

Result<struct stat> ViewFile::getattr(const Caller& caller, OpenFile*) {
  const auto buffer = buffer_.lock();
  if (!buffer) return fail_errno(ESTALE, "a view");
  struct stat st = TRY(buffer->getattr(caller, nullptr));
  st.st_ino = ino();
  st.st_nlink = 1;
  st.st_mode = S_IFREG | (st.st_mode & 0444);
  // What can't be shown has no bytes, and says so when it is opened.
  st.st_size = static_cast<off_t>(size(*buffer, caller).value_or(0));
  st.st_blocks = (st.st_size + 511) / 512;  // with less, cp takes it for a hole
  return st;
}

Result<OpenPtr> ViewFile::open(const Caller& caller, int flags) {
  if ((flags & O_ACCMODE) != O_RDONLY) return fail(EACCES, "a view can only be read");
  const auto buffer = buffer_.lock();
  if (!buffer) return fail_errno(ESTALE, "a view");
  auto use = TRY(buffer->opened());
  const std::shared_ptr<Buffer> bytes = use.buffer();
  std::optional<image::Picture> picture;
  OpenView::Start start;
  if (kind_ == ViewKind::Png) {
    const auto shown = showable(*buffer);
    if (!shown) {
      const std::string message = buffer->path() + ": no view of it: " + shown.error().message;
      context_.engine.counters().refuse(message);
      return fail(shown.error().code, message);
    }
    picture = *shown;
    start = [bytes, name = buffer->path(), picture] { return render_png(bytes, name, *picture); };
  } else if (kind_ == ViewKind::Json) {
    start = [text = TRY(json_text(*buffer, caller))] { return render_text(text); };
  } else {
    start = [bytes, rows = in_rows(*buffer)] { return render_hex(bytes, rows); };
  }
  auto share = TRY(context_.shares.take_view(caller.uid, rendering_memory(picture)));
  return std::make_shared<OpenView>(std::move(use), std::move(share), std::move(start));
}

}  // namespace dmabuffs
