// SPDX-License-Identifier: MIT
// copy_file_range: the request behind a plain `cp` between two files of the mount.
#include "dmabuffs/base/log.h"
#include "dmabuffs/fuse/operations.h"

namespace dmabuffs {

namespace {

/// Has an interrupt of the request cancel the transfer, as long as it lives: so until just before the answer,
/// after which the token goes.
class Interruptible {
 public:
  Interruptible(fuse_req_t request, CancelToken& token) : request_(request) {
    // May call back at once, when the interrupt overtook the request.
    fuse_req_interrupt_func(
        request, [](fuse_req_t, void* data) { static_cast<CancelToken*>(data)->cancel(); }, &token);
  }
  ~Interruptible() { fuse_req_interrupt_func(request_, nullptr, nullptr); }
  Interruptible(const Interruptible&) = delete;
  Interruptible& operator=(const Interruptible&) = delete;

 private:
  fuse_req_t request_;
};

void op_copy_file_range(fuse_req_t request, fuse_ino_t, off_t from_start, fuse_file_info* from_info,
                        fuse_ino_t, off_t to_start, fuse_file_info* to_info, size_t length, int) {
  Session& session = session_of(request);
  Handle& to_handle = handle_of(to_info);
  const auto cancel = session.new_transfer();
  const OpenPtr from_file = handle_of(from_info).file, to_file = to_handle.file;
  const auto from_offset = static_cast<uint64_t>(from_start), to_offset = static_cast<uint64_t>(to_start);
  auto from = from_file->transfer_end(Access::Read);
  if (!from) return reply_error(request, from.error());
  // The request does not tell; the kernel refuses a file that has O_APPEND now, so fcntl(2) has taken it
  // away.
  to_file->set_append(false);
  auto to = to_file->transfer_end(Access::Write);
  if (!to) return reply_error(request, to.error());

  const uint64_t size = from->size().value_or(0);
  const uint64_t left = size > from_offset ? size - from_offset : 0;
  if (left == 0) return (void)fuse_reply_write(request, 0);
  Copy copy;
  copy.from = std::move(*from);
  copy.from_offset = from_offset;
  copy.to = std::move(*to);
  copy.to_offset = to_offset;
  copy.require_direct = session.context().settings.require_direct;
  copy.cancel = cancel.get();
  const auto pace = [&to_handle] {
    const std::lock_guard lock(to_handle.mutex);
    return to_handle.piece;
  };
  PieceSize piece = pace();
  const Outcome outcome = [&] {
    const Interruptible interruptible(request, *cancel);
    return Transfer::of_request(session.context().engine, std::move(copy), length, left).next(piece);
  }();
  {
    const std::lock_guard lock(to_handle.mutex);
    to_handle.piece = piece;
  }
  if (outcome.error) {
    log_warning("copy: " + outcome.error->message);
    // What is stored counts; the caller's next request meets the error again.
    if (outcome.bytes == 0) return (void)fuse_reply_err(request, outcome.error->code);
  }
  fuse_reply_write(request, outcome.bytes);
}

void copy_callback(fuse_req_t request, fuse_ino_t from_ino, off_t from_start, fuse_file_info* from,
                   fuse_ino_t to_ino, off_t to_start, fuse_file_info* to, size_t length, int flags) noexcept {
  answering(request, [&] {
    dispatch::run_in<op_copy_file_range>(session_of(request).transfers(), request, from_ino, from_start, from,
                                         to_ino, to_start, to, length, flags);
  });
}

}  // namespace

void add_copy_operation(fuse_lowlevel_ops& ops) {
  ops.copy_file_range = copy_callback;
}

}  // namespace dmabuffs
