// SPDX-License-Identifier: MIT
#include "dmabuffs/fs/open_reply.h"
#include "dmabuffs/fs/operations.h"

namespace dmabuffs {

namespace {

/// O_DIRECT is the client's wish of the kernel; the request's data has no alignment here. O_TRUNC comes as
/// SETATTR.
constexpr int kDroppedFlags = O_DIRECT | O_TRUNC | O_CREAT | O_EXCL | O_NOCTTY;

OpenReply open_reply(Session& session, const NodePtr& node, OpenPtr file) {
  auto handle = std::make_unique<Handle>();
  OpenReply reply;
  reply.backing_id = session.passthrough().acquire(node->ino(), file->passthrough_fd());
  handle->passthrough = reply.backing_id > 0;
  reply.direct_io = handle->passthrough ? file->only_maps_pass() : file->direct_io();
  if (handle->passthrough) session.context().passthrough_opens.fetch_add(1, std::memory_order_relaxed);
  handle->node = node;
  handle->file = std::move(file);
  reply.handle = session.handles().add(std::move(handle));
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
    const OpenReply reply = open_reply(session, node, std::move(*file));
    if (reply_open(request, *info, reply) != 0) take_back(session, node, reply);
  });
}

void op_create(fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode, fuse_file_info* info) {
  with_node(request, parent, [&](const NodePtr& node) {
    // With O_EXCL a room must not open what somebody else has made since the kernel looked.
    auto created = node->create(caller_of(request), name, mode, info->flags & ~(kDroppedFlags & ~O_EXCL));
    if (!created) return reply_error(request, created.error());
    const auto entry = make_entry(request, created->node);
    if (!entry) return reply_error(request, entry.error());
    Session& session = session_of(request);
    const OpenReply reply = open_reply(session, created->node, std::move(created->open));
    if (reply_create(request, *entry, *info, reply) == 0) return;
    take_back(session, created->node, reply);
    forget(session, entry->ino, 1);
  });
}

void op_release(fuse_req_t request, fuse_ino_t, fuse_file_info* info) {
  Session& session = session_of(request);
  if (handle_of(info).passthrough) session.passthrough().release(handle_of(info).node->ino());
  auto handle = session.handles().take(info->fh);
  auto freeing = session.context().freeing.begin();
  fuse_reply_err(request, 0);
  // The last close of an unlinked buffer frees its memory, which may take long.
  session.waiting().run([handle = std::shared_ptr<KernelHandle>(std::move(handle)), freeing]() mutable {
    handle.reset();
    freeing.reset();
  });
}

/// By a copy: what was read can't be pinned by the kernel where it lies (EFAULT).
void reply_copy(fuse_req_t request, OpenFile& file, uint64_t offset, size_t size) {
  const auto memory = session_of(request).reply_memory().borrow(size);
  if (!memory) return reply_error(request, memory.error());
  const auto bytes = memory->bytes();
  const auto got = file.read(offset, bytes);
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
  const auto at = static_cast<uint64_t>(offset);
  if (!file->would_block(Access::Read)) return read_and_reply(request, *file, at, size);
  session_of(request).waiting().run([request, file, at, size] { read_and_reply(request, *file, at, size); });
}

enum class Answer { Early, Late };  // as soon as the write can't fail, or when the bytes are stored

void write_from(fuse_req_t request, OpenFile& file, uint64_t offset, std::span<const std::byte> bytes,
                Answer when) {
  Session& session = session_of(request);
  const auto answer = [&session, request](size_t count) {
    session.context().written_bytes.fetch_add(count, std::memory_order_relaxed);
    fuse_reply_write(request, count);
  };
  // What passes the daemon by passthrough would not wait for bytes that are still to be stored.
  const bool passed_by = session.passthrough().enabled() && file.passthrough_fd() >= 0;
  const auto done = when == Answer::Early && !passed_by ? file.write_behind(offset, bytes, answer)
                                                        : file.OpenFile::write_behind(offset, bytes, answer);
  if (!done) reply_error(request, done.error());
}

void op_write(fuse_req_t request, fuse_ino_t, const char* data, size_t size, off_t offset,
              fuse_file_info* info) {
  // A reference of its own: the kernel may release the file as soon as it has the answer.
  const OpenPtr file = handle_of(info).file;
  const auto at = static_cast<uint64_t>(offset);
  const std::span bytes(reinterpret_cast<const std::byte*>(data), size);
  file->set_append((info->flags & O_APPEND) != 0);
  if (!file->would_block(Access::Write, at + size))
    return write_from(request, *file, at, bytes, Answer::Early);
  // The data is the worker's; it takes the next request while this one waits.
  session_of(request).waiting().run(
      [request, file, at, copy = std::vector<std::byte>(bytes.begin(), bytes.end())] {
        write_from(request, *file, at, copy, Answer::Late);
      });
}

/// Runs a call that may take long elsewhere and answers it.
template <class Work>
void wait_elsewhere(fuse_req_t request, const fuse_file_info* info, Work work) {
  const OpenPtr file = handle_of(info).file;
  session_of(request).waiting().run(
      [request, file, work] { answering(request, [&] { reply_done(request, work(*file)); }); });
}

void op_flush(fuse_req_t request, fuse_ino_t, fuse_file_info* info) {
  wait_elsewhere(request, info, [](OpenFile& file) { return file.flush(); });
}

void op_fsync(fuse_req_t request, fuse_ino_t, int data_only, fuse_file_info* info) {
  wait_elsewhere(request, info, [data_only](OpenFile& file) { return file.fsync(data_only != 0); });
}

void op_fallocate(fuse_req_t request, fuse_ino_t, int mode, off_t offset, off_t length,
                  fuse_file_info* info) {
  wait_elsewhere(request, info, [=](OpenFile& file) {
    return file.fallocate(mode, static_cast<uint64_t>(offset), static_cast<uint64_t>(length));
  });
}

void op_lseek(fuse_req_t request, fuse_ino_t, off_t offset, int whence, fuse_file_info* info) {
  const auto found = handle_of(info).file->lseek(static_cast<uint64_t>(offset), whence);
  found ? (void)fuse_reply_lseek(request, static_cast<off_t>(*found)) : reply_error(request, found.error());
}

}  // namespace

void add_io_operations(fuse_lowlevel_ops& ops) {
  ops.open = op_open;
  ops.create = op_create;
  ops.release = op_release;
  ops.read = op_read;
  ops.write = op_write;
  ops.flush = op_flush;
  ops.fsync = op_fsync;
  ops.fallocate = op_fallocate;
  ops.lseek = op_lseek;
}

}  // namespace dmabuffs
