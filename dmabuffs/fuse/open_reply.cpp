// SPDX-License-Identifier: MIT
// Apart from the operations because <linux/fuse.h> and libfuse's headers define the same names.
#include "dmabuffs/fuse/open_reply.h"

#include <linux/fuse.h>

#include <cmath>
#include <cstring>

#include "dmabuffs/fuse/fuse_version.h"

#ifndef FOPEN_PARALLEL_DIRECT_WRITES
#define FOPEN_PARALLEL_DIRECT_WRITES (1 << 6)  // Linux 6.2; older kernels ignore it
#endif

namespace dmabuffs {

#if DMABUFFS_HAS_PASSTHROUGH

namespace {
void fill(fuse_file_info& info, const OpenReply& reply) {
  info.fh = reply.handle;
  info.backing_id = reply.backing_id;
  info.direct_io = reply.direct_io;
  info.parallel_direct_writes = info.direct_io;
}
}  // namespace

int reply_open(fuse_req_t request, fuse_file_info info, const OpenReply& reply) {
  fill(info, reply);
  return fuse_reply_open(request, &info);
}

int reply_create(fuse_req_t request, const fuse_entry_param& entry, fuse_file_info info,
                 const OpenReply& reply) {
  fill(info, reply);
  return fuse_reply_create(request, &entry, &info);
}

#else

int reply_open(fuse_req_t request, fuse_file_info, const OpenReply& reply) {
  const auto out = wire_open(reply.handle, reply.direct_io);
  return fuse_reply_buf(request, reinterpret_cast<const char*>(out.data()), out.size());
}

int reply_create(fuse_req_t request, const fuse_entry_param& entry, fuse_file_info, const OpenReply& reply) {
  const auto out = wire_create(entry.ino, entry.attr, entry.entry_timeout, entry.attr_timeout, reply.handle,
                               reply.direct_io);
  return fuse_reply_buf(request, reinterpret_cast<const char*>(out.data()), out.size());
}

#endif

namespace {

template <class T>
void append(std::vector<std::byte>& out, const T& value) {
  const size_t at = out.size();
  out.resize(at + sizeof(value));
  std::memcpy(out.data() + at, &value, sizeof(value));
}

fuse_open_out open_out(uint64_t handle, bool direct_io) {
  fuse_open_out out{};
  out.fh = handle;
  out.open_flags = direct_io ? FOPEN_DIRECT_IO | FOPEN_PARALLEL_DIRECT_WRITES : 0;
  return out;
}

void set_timeout(double seconds, uint64_t& whole, uint32_t& nanoseconds) {
  whole = static_cast<uint64_t>(seconds);
  nanoseconds = static_cast<uint32_t>((seconds - std::floor(seconds)) * 1e9);
}

}  // namespace

std::vector<std::byte> wire_open(uint64_t handle, bool direct_io) {
  std::vector<std::byte> out;
  append(out, open_out(handle, direct_io));
  return out;
}

std::vector<std::byte> wire_create(uint64_t node, const struct stat& st, double entry_timeout,
                                   double attribute_timeout, uint64_t handle, bool direct_io) {
  fuse_entry_out entry{};
  entry.nodeid = node;
  set_timeout(entry_timeout, entry.entry_valid, entry.entry_valid_nsec);
  set_timeout(attribute_timeout, entry.attr_valid, entry.attr_valid_nsec);
  fuse_attr& attr = entry.attr;
  attr.ino = st.st_ino;
  attr.size = static_cast<uint64_t>(st.st_size);
  attr.blocks = static_cast<uint64_t>(st.st_blocks);
  attr.atime = static_cast<uint64_t>(st.st_atim.tv_sec);
  attr.mtime = static_cast<uint64_t>(st.st_mtim.tv_sec);
  attr.ctime = static_cast<uint64_t>(st.st_ctim.tv_sec);
  attr.atimensec = static_cast<uint32_t>(st.st_atim.tv_nsec);
  attr.mtimensec = static_cast<uint32_t>(st.st_mtim.tv_nsec);
  attr.ctimensec = static_cast<uint32_t>(st.st_ctim.tv_nsec);
  attr.mode = st.st_mode;
  attr.nlink = static_cast<uint32_t>(st.st_nlink);
  attr.uid = st.st_uid;
  attr.gid = st.st_gid;
  attr.rdev = static_cast<uint32_t>(st.st_rdev);
  attr.blksize = static_cast<uint32_t>(st.st_blksize);
  std::vector<std::byte> out;
  append(out, entry);
  append(out, open_out(handle, direct_io));
  return out;
}

}  // namespace dmabuffs
