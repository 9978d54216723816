// SPDX-License-Identifier: MIT
#include "dmabuffs/fs/operations.h"

namespace dmabuffs {

namespace {

/// An open directory as the kernel holds it. The listing is taken at offset 0 and kept, so that entries
/// neither double nor vanish for a reader while others create and remove.
struct DirectoryHandle final : KernelHandle {
  NodePtr node;
  std::unique_ptr<OpenDirectory> directory;
  std::mutex mutex;
  std::vector<DirectoryEntry> entries;
};

DirectoryHandle& directory_of(const fuse_file_info* info) {
  return kernel_handle<DirectoryHandle>(info);
}

void op_opendir(fuse_req_t request, fuse_ino_t ino, fuse_file_info* info) {
  with_node(request, ino, [&](const NodePtr& node) {
    auto directory = node->opendir(caller_of(request));
    if (!directory) return reply_error(request, directory.error());
    auto handle = std::make_unique<DirectoryHandle>();
    handle->node = node;
    handle->directory = std::move(*directory);
    OpenHandles& handles = session_of(request).handles();
    info->fh = handles.add(std::move(handle));
    if (fuse_reply_open(request, info) != 0) handles.take(info->fh);
  });
}

void op_releasedir(fuse_req_t request, fuse_ino_t, fuse_file_info* info) {
  session_of(request).handles().take(info->fh);
  fuse_reply_err(request, 0);
}

void op_fsyncdir(fuse_req_t request, fuse_ino_t, int, fuse_file_info* info) {
  reply_done(request, directory_of(info).directory->fsync());
}

/// Adds one entry at `at`; returns the bytes it takes, more than `room` when it does not fit (and is not
/// added).
size_t add_plain(fuse_req_t request, const DirectoryEntry& entry, char* at, size_t room, off_t next) {
  struct stat st {};
  st.st_ino = entry.ino;
  st.st_mode = entry.type;
  return fuse_add_direntry(request, at, room, entry.name.c_str(), &st, next);
}

size_t add_plus(fuse_req_t request, DirectoryHandle& handle, const DirectoryEntry& entry, char* at,
                size_t room, off_t next) {
  fuse_entry_param param{};
  param.attr.st_ino = entry.ino;
  param.attr.st_mode = entry.type;
  if (entry.name != "." && entry.name != "..") {
    // Checked first: a lookup that then does not fit would be one for nothing.
    if (fuse_add_direntry_plus(request, nullptr, 0, entry.name.c_str(), &param, next) > room) return room + 1;
    if (auto node = handle.node->lookup(caller_of(request), entry.name)) {
      if (auto made = make_entry(request, *node)) param = *made;
    }
  }
  return fuse_add_direntry_plus(request, at, room, entry.name.c_str(), &param, next);
}

/// The part of the listing from `offset` on that fits into `size` bytes.
Result<std::vector<char>> read_entries(fuse_req_t request, DirectoryHandle& handle, size_t size, off_t offset,
                                       bool plus) {
  const std::lock_guard lock(handle.mutex);
  if (offset == 0) {
    auto listed = handle.directory->list();
    if (!listed) return pass(std::move(listed));
    const NodePtr parent = handle.node->parent();
    handle.entries = {{".", handle.node->shown_ino(), S_IFDIR},
                      {"..", (parent ? parent : handle.node)->shown_ino(), S_IFDIR}};
    handle.entries.insert(handle.entries.end(), std::make_move_iterator(listed->begin()),
                          std::make_move_iterator(listed->end()));
  }
  std::vector<char> out(size);
  size_t used = 0;
  for (auto i = static_cast<size_t>(offset); i < handle.entries.size(); ++i) {
    const auto next = static_cast<off_t>(i + 1);
    char* at = out.data() + used;
    const size_t room = size - used;
    const size_t taken = plus ? add_plus(request, handle, handle.entries[i], at, room, next)
                              : add_plain(request, handle.entries[i], at, room, next);
    if (taken > room) break;
    used += taken;
  }
  out.resize(used);
  return out;
}

void read_directory(fuse_req_t request, size_t size, off_t offset, fuse_file_info* info, bool plus) {
  const auto out = read_entries(request, directory_of(info), size, offset, plus);
  // From the answer on RELEASEDIR may free the handle at any moment, so its mutex is let go before.
  out ? (void)fuse_reply_buf(request, out->data(), out->size()) : reply_error(request, out.error());
}

void op_readdir(fuse_req_t request, fuse_ino_t, size_t size, off_t offset, fuse_file_info* info) {
  read_directory(request, size, offset, info, false);
}

void op_readdirplus(fuse_req_t request, fuse_ino_t, size_t size, off_t offset, fuse_file_info* info) {
  read_directory(request, size, offset, info, true);
}

}  // namespace

void add_directory_operations(fuse_lowlevel_ops& ops) {
  ops.opendir = callback<op_opendir>;
  ops.releasedir = callback<op_releasedir>;
  ops.fsyncdir = callback<op_fsyncdir>;
  ops.readdir = callback<op_readdir>;
  ops.readdirplus = callback<op_readdirplus>;
}

}  // namespace dmabuffs
