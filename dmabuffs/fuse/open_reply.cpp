// SPDX-License-Identifier: MIT
#include "dmabuffs/fuse/open_reply.h"

#include "dmabuffs/fuse/fuse_version.h"
#include "dmabuffs/fuse/open_wire.h"

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

}  // namespace dmabuffs
