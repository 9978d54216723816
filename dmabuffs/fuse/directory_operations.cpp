// SPDX-License-Identifier: MIT
#include "dmabuffs/fuse/operations.h"

namespace dmabuffs {

namespace {

/// An open directory as the kernel holds it.
struct DirectoryHandle final : KernelHandle {
  NodePtr node;
  std::unique_ptr<OpenDirectory> directory;
  std::mutex mutex;
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
size_t add_plain(fuse_req_t request, const DirectoryEntry& entry, char* at, size_t room) {
  struct stat st {};
  st.st_ino = entry.ino;
  st.st_mode = entry.type;
  return fuse_add_direntry(request, at, room, entry.name.c_str(), &st, static_cast<off_t>(entry.place));
}

size_t add_plus(fuse_req_t request, DirectoryHandle& handle, const DirectoryEntry& entry, char* at,
                size_t room) {
  const auto next = static_cast<off_t>(entry.place);
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

/// The part of the listing after the place `offset` that fits into `size` bytes.
Result<std::vector<char>> read_entries(fuse_req_t request, DirectoryHandle& handle, size_t size, off_t offset,
                                       bool plus) {
  std::vector<char> out(size);
  size_t used = 0;
  auto after = static_cast<uint64_t>(offset);
  const std::lock_guard lock(handle.mutex);
  for (bool more = true; more;) {
    auto listed = handle.directory->list(after);
    if (!listed && used == 0) return pass(std::move(listed));
    if (!listed || listed->empty()) break;
    for (DirectoryEntry& entry : *listed) {
      const NodePtr above = entry.name == ".." ? handle.node->parent() : nullptr;
      if (entry.name == "." || entry.name == "..") entry.ino = (above ? above : handle.node)->shown_ino();
      char* at = out.data() + used;
      const size_t room = size - used;
      const size_t taken =
          plus ? add_plus(request, handle, entry, at, room) : add_plain(request, entry, at, room);
      more = taken <= room;
      if (!more) break;
      used += taken;
      after = entry.place;
    }
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
