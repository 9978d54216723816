// SPDX-License-Identifier: MIT
// copy_file_range: the request behind a plain `cp` between two files of the mount.
#include <sys/stat.h>

#include <algorithm>
#include <chrono>

#include "dmabuffs/base/log.h"
#include "dmabuffs/fs/operations.h"
#include "dmabuffs/transfer/request.h"

namespace dmabuffs {

namespace {

/// A request's transfer; the interrupt callback and the worker share it.
struct Running {
  std::shared_ptr<CancelToken> cancel;
  OpenPtr from, to;
};

uint64_t size_of(const End& end) {
  if (const auto* buffer = std::get_if<std::shared_ptr<Buffer>>(&end)) return (*buffer)->size();
  struct stat st {};
  if (::fstat(std::get<std::shared_ptr<FileEnd>>(end)->fd(), &st) != 0) return 0;
  return static_cast<uint64_t>(st.st_size);
}

void interrupted(fuse_req_t, void* data) {
  static_cast<CancelToken*>(data)->cancel();
}

void run_copy(fuse_req_t request, Handle& to_handle, const Running& running, uint64_t from_offset,
              uint64_t to_offset, uint64_t length) {
  Session& session = session_of(request);
  auto from = running.from->transfer_end(Access::Read);
  if (!from) return reply_error(request, from.error());
  auto to = running.to->transfer_end(Access::Write);
  if (!to) return reply_error(request, to.error());

  const uint64_t size = size_of(*from);
  const uint64_t left = size > from_offset ? size - from_offset : 0;
  if (left == 0) return (void)fuse_reply_write(request, 0);
  Copy copy;
  copy.from = std::move(*from);
  copy.from_offset = from_offset;
  copy.to = std::move(*to);
  copy.to_offset = to_offset;
  copy.length = std::min(length, left);
  expect_rest_of_source(copy, length, left);
  {
    const std::lock_guard lock(to_handle.mutex);
    copy.length = piece_length(session.context().engine, to_handle.piece, copy);
  }
  copy.require_direct = session.context().settings.require_direct;
  copy.cancel = running.cancel.get();

  // May call back at once, when the interrupt overtook the request.
  fuse_req_interrupt_func(request, interrupted, running.cancel.get());
  const auto start = std::chrono::steady_clock::now();
  const Outcome outcome = session.context().engine.copy(copy);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  // Before the answer: a callback may run beside it, and after it the token goes.
  fuse_req_interrupt_func(request, nullptr, nullptr);
  {
    const std::lock_guard lock(to_handle.mutex);
    to_handle.piece.took(outcome.bytes, took.count());
  }
  if (outcome.error) {
    log_warning("copy: " + outcome.error->message);
    // What is stored counts; the caller's next request meets the error again.
    if (outcome.bytes == 0) return (void)fuse_reply_err(request, outcome.error->code);
  }
  fuse_reply_write(request, outcome.bytes);
}

void op_copy_file_range(fuse_req_t request, fuse_ino_t, off_t from_offset, fuse_file_info* from, fuse_ino_t,
                        off_t to_offset, fuse_file_info* to, size_t length, int) {
  Session& session = session_of(request);
  Handle& to_handle = handle_of(to);
  Running running{session.new_transfer(), handle_of(from).file, to_handle.file};
  session.transfers().run([=, &to_handle] {
    answering(request, [&] {
      run_copy(request, to_handle, running, static_cast<uint64_t>(from_offset),
               static_cast<uint64_t>(to_offset), length);
    });
  });
}

}  // namespace

void add_copy_operation(fuse_lowlevel_ops& ops) {
  ops.copy_file_range = op_copy_file_range;
}

}  // namespace dmabuffs
