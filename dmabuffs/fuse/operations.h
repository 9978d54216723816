// SPDX-License-Identifier: MIT
/// The operations behind the FUSE callbacks (fuse/dispatch.h). Each is a few lines: find the node, call it,
/// answer.
#pragma once
#include <cstddef>

#include "dmabuffs/fuse/dispatch.h"
#include "dmabuffs/transfer/transfer.h"

namespace dmabuffs {

/// Names, attributes, directories, xattrs (operations.cpp).
void add_name_operations(fuse_lowlevel_ops& ops, bool xattrs);
void add_directory_operations(fuse_lowlevel_ops& ops);
/// open, read, write (io_operations.cpp).
void add_io_operations(fuse_lowlevel_ops& ops);
/// copy_file_range (io_operations.cpp).
void add_copy_operation(fuse_lowlevel_ops& ops);

// What the callbacks share.

inline Session& session_of(fuse_req_t request) {
  return *static_cast<Session*>(fuse_req_userdata(request));
}

Caller caller_of(fuse_req_t request);
/// `mode` as what is made in `parent` is to have it: without the bits of the umask, unless `parent` sees to
/// that.
mode_t made_mode(const Node& parent, const Caller& caller, mode_t mode);

/// The one place where an Error becomes an errno; what only the log can explain is logged here. Throws
/// Elsewhere instead where waiting could have prevented it.
void reply_error(fuse_req_t request, const Error& error);

/// Answers a call that has no result but success.
template <class T>
void reply_done(fuse_req_t request, const Result<T>& result) {
  if (!result) return reply_error(request, result.error());
  fuse_reply_err(request, 0);
}

/// Runs `work(node)`, or answers ESTALE when the kernel names a node we do not know.
template <class Work>
void with_node(fuse_req_t request, fuse_ino_t ino, Work&& work) {
  const NodePtr node = session_of(request).nodes().find(ino);
  if (!node) return reply_error(request, Error{ESTALE, "unknown inode"});
  work(node);
}

/// An open file as the kernel holds it (fuse_file_info.fh).
struct Handle final : KernelHandle {
  NodePtr node;
  OpenPtr file;
  int flags = 0;  ///< of open(2)
  bool passthrough = false;
  std::mutex mutex;
  PieceSize piece;  ///< of copies into it; guarded by mutex
};

/// The number is the address of a KernelHandle (OpenHandles::add).
template <class Kind>
Kind& kernel_handle(const fuse_file_info* info) {
  return static_cast<Kind&>(*reinterpret_cast<KernelHandle*>(info->fh));  // NOLINT(performance-no-int-to-ptr)
}

inline Handle& handle_of(const fuse_file_info* info) {
  return kernel_handle<Handle>(info);
}

/// Fills an entry from the node and counts the kernel's new reference to it.
Result<fuse_entry_param> make_entry(fuse_req_t request, const NodePtr& node);
/// The same for what the request has made.
Result<fuse_entry_param> make_new_entry(fuse_req_t request, const NodePtr& node);
/// Answers with the entry, taking the reference back if the kernel no longer wants it.
void reply_entry(fuse_req_t request, const Result<NodePtr>& node);
/// Drops references; freeing may take long, so it happens elsewhere.
void forget(Session& session, fuse_ino_t ino, uint64_t count) noexcept;

}  // namespace dmabuffs
