// SPDX-License-Identifier: MIT
// Open files: open, read, write, and copy_file_range, which is behind a plain `cp` between two files of the
// mount.
#include "dmabuffs/base/log.h"
#include "dmabuffs/control/message.h"
#include "dmabuffs/fuse/open_reply.h"
#include "dmabuffs/fuse/operations.h"

namespace dmabuffs {

namespace {

/// O_DIRECT is the client's wish of the kernel; the request's data has no alignment here. O_TRUNC comes as
/// SETATTR.
constexpr int kDroppedFlags = O_DIRECT | O_TRUNC | O_CREAT | O_EXCL | O_NOCTTY;

OpenReply open_reply(Session& session, const NodePtr& node, OpenPtr file, int flags) {
  auto handle = std::make_unique<Handle>();
  Handle& held = *handle;
  held.node = node;
  held.flags = flags;
  held.file = std::move(file);
  OpenReply reply;
  reply.handle = session.handles().add(std::move(handle));
  try {
    reply.backing_id = session.passthrough().acquire(node->ino(), held.file->passthrough_fd());
  } catch (...) {
    session.handles().take(reply.handle);
    throw;
  }
  held.passthrough = reply.backing_id > 0;
  reply.direct_io = held.passthrough ? held.file->only_maps_pass() : held.file->direct_io();
  if (held.passthrough) session.context().passthrough_opens.fetch_add(1, std::memory_order_relaxed);
  return reply;
}

/// The open did not reach the kernel; no RELEASE will come.
void take_back(Session& session, const NodePtr& node, const OpenReply& reply) {
  if (reply.backing_id > 0) session.passthrough().release(node->ino());
  session.handles().take(reply.handle);
}

void op_open(fuse_req_t request, fuse_ino_t ino, fuse_file_info* info) {
  with_node(request, ino, [&](const NodePtr& node) {
    auto file = node->open(caller_of(request), info->flags & ~kDroppedFlags);
    if (!file) return reply_error(request, file.error());
    Session& session = session_of(request);
    const OpenReply reply = open_reply(session, node, std::move(*file), info->flags);
    if (reply_open(request, *info, reply) != 0) take_back(session, node, reply);
  });
}

void op_create(fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode, fuse_file_info* info) {
  with_node(request, parent, [&](const NodePtr& node) {
    // With O_EXCL a room must not open what somebody else has made since the kernel looked.
    const Caller caller = caller_of(request);
    auto created =
        node->create(caller, name, made_mode(*node, caller, mode), info->flags & ~(kDroppedFlags & ~O_EXCL));
    if (!created) return reply_error(request, created.error());
    const auto entry = make_new_entry(request, created->node);
    if (!entry) return reply_error(request, entry.error());
    Session& session = session_of(request);
    const OpenReply reply = open_reply(session, created->node, std::move(created->open), info->flags);
    if (reply_create(request, *entry, *info, reply) == 0) return;
    take_back(session, created->node, reply);
    forget(session, entry->ino, 1);
  });
}

void op_release(fuse_req_t request, fuse_ino_t, fuse_file_info* info) {
  Session& session = session_of(request);
  if (handle_of(info).passthrough) session.passthrough().release(handle_of(info).node->ino());
  // The last close of an unlinked buffer frees its memory, which may take long.
  std::function<void()> end = [handle = std::shared_ptr<KernelHandle>(session.handles().take(info->fh)),
                               freeing = session.context().freeing.begin()]() mutable {
    handle.reset();
    freeing.reset();
  };
  fuse_reply_err(request, 0);
  session.waiting().run(BlockingPool::kDaemon, std::move(end));
}

/// Has an interrupt of the request cancel what it asks for, as long as it lives: so until just before the
/// answer, after which the token goes.
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

/// By a copy: what was read can't be pinned by the kernel where it lies (EFAULT).
void reply_copy(fuse_req_t request, OpenFile& file, uint64_t offset, size_t size) {
  const auto memory = session_of(request).reply_memory().borrow(size);
  if (!memory) return reply_error(request, memory.error());
  const auto bytes = memory->bytes();
  const auto cancel = session_of(request).new_cancel_token();
  const auto got = [&] {
    const Interruptible interruptible(request, *cancel);
    return file.read_until(*cancel, offset, bytes);
  }();
  if (!got) return reply_error(request, got.error());
  session_of(request).context().read_bytes.fetch_add(*got, std::memory_order_relaxed);
  fuse_reply_buf(request, reinterpret_cast<const char*>(bytes.data()), *got);
}

void read_and_reply(fuse_req_t request, OpenFile& file, uint64_t offset, size_t size) {
  Session& session = session_of(request);
  const auto viewed = file.view(offset, size, [&](std::span<const std::byte> bytes) {
    session.context().read_bytes.fetch_add(bytes.size(), std::memory_order_relaxed);
    fuse_reply_buf(request, reinterpret_cast<const char*>(bytes.data()), bytes.size());
  });
  if (!viewed) return reply_error(request, viewed.error());
  if (!*viewed) reply_copy(request, file, offset, size);
}

void op_read(fuse_req_t request, fuse_ino_t, size_t size, off_t offset, fuse_file_info* info) {
  // A reference of its own: the reply may let the kernel release the file while it is still being looked at.
  const OpenPtr file = handle_of(info).file;
  if (file->would_block(Access::Read)) going_to_wait();
  read_and_reply(request, *file, static_cast<uint64_t>(offset), size);
}

void op_write(fuse_req_t request, fuse_ino_t, std::span<const char> data, off_t offset,
              fuse_file_info* info) {
  const OpenPtr file = handle_of(info).file;
  const auto at = static_cast<uint64_t>(offset);
  const auto bytes = std::as_bytes(data);
  file->set_append((info->flags & O_APPEND) != 0);
  if (file->would_block(Access::Write, at + bytes.size())) going_to_wait();
  const auto written = file->write(at, bytes);
  if (!written) return reply_error(request, written.error());
  session_of(request).context().written_bytes.fetch_add(*written, std::memory_order_relaxed);
  fuse_reply_write(request, *written);
}

void write_callback(fuse_req_t request, fuse_ino_t ino, const char* data, size_t size, off_t offset,
                    fuse_file_info* info) noexcept {
  dispatch::run<op_write>(request, ino, std::span(data, size), offset, info);
}

void op_flush(fuse_req_t request, fuse_ino_t, fuse_file_info* info) {
  going_to_wait();
  reply_done(request, OpenPtr(handle_of(info).file)->flush());
}

void op_fsync(fuse_req_t request, fuse_ino_t, int data_only, fuse_file_info* info) {
  going_to_wait();
  reply_done(request, OpenPtr(handle_of(info).file)->fsync(data_only != 0));
}

void op_fallocate(fuse_req_t request, fuse_ino_t, int mode, off_t offset, off_t length,
                  fuse_file_info* info) {
  going_to_wait();
  reply_done(request, OpenPtr(handle_of(info).file)
                          ->fallocate(mode, static_cast<uint64_t>(offset), static_cast<uint64_t>(length)));
}

void op_lseek(fuse_req_t request, fuse_ino_t, off_t offset, int whence, fuse_file_info* info) {
  const auto found = handle_of(info).file->lseek(static_cast<uint64_t>(offset), whence);
  found ? (void)fuse_reply_lseek(request, static_cast<off_t>(*found)) : reply_error(request, found.error());
}

/// The one request there is: a ticket for the control socket. Waits for nobody.
void op_ioctl(fuse_req_t request, fuse_ino_t, unsigned command, void*, fuse_file_info* info, unsigned flags,
              const void*, size_t, size_t) {
  if (command != kTicketRequest || (flags & FUSE_IOCTL_DIR) != 0)
    return (void)fuse_reply_err(request, ENOTTY);
  answering(request, [&] {
    const Handle& handle = handle_of(info);
    const auto ticket = session_of(request).context().tickets.issue(fuse_req_ctx(request)->uid,
                                                                    {handle.node, handle.file, handle.flags});
    ticket ? (void)fuse_reply_ioctl(request, 0, ticket->data(), ticket->size())
           : reply_error(request, ticket.error());
  });
}

}  // namespace

void add_io_operations(fuse_lowlevel_ops& ops) {
  ops.open = callback<op_open>;
  ops.create = name_callback<op_create>;
  ops.release = callback<op_release>;
  ops.read = callback<op_read>;
  ops.write = write_callback;
  ops.flush = callback<op_flush>;
  ops.fsync = callback<op_fsync>;
  ops.fallocate = callback<op_fallocate>;
  ops.lseek = callback<op_lseek>;
  ops.ioctl = op_ioctl;
}

namespace {

void op_copy_file_range(fuse_req_t request, fuse_ino_t, off_t from_start, fuse_file_info* from_info,
                        fuse_ino_t, off_t to_start, fuse_file_info* to_info, size_t length, int) {
  Session& session = session_of(request);
  Handle& to_handle = handle_of(to_info);
  const auto cancel = session.new_cancel_token();
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
  if (from_offset == 0 && to_offset == 0) to_file->copied_from(from_file->picture());
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
    log_warning(outcome.error->message, outcome.error->code);
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
