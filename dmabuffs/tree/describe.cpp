// SPDX-License-Identifier: MIT
#include "dmabuffs/tree/describe.h"

#include "dmabuffs/heap/dmabuf_storage.h"
#include "dmabuffs/tree/heaps/buffer_file.h"

namespace dmabuffs {

Result<Json> describe(Node& node, const Caller& caller) {
  auto* named = dynamic_cast<BufferFile*>(&node);
  if (!named) return fail(EINVAL, "not a buffer: those are the files below heaps/");
  const auto st = TRY(node.getattr(caller, nullptr));
  const BufferInfo about = named->info();
  const auto picture = named->picture();
  const Heap& heap = named->heap();
  Json json{{"path", named->path()},
            {"heap", heap.name()},
            {"kind", to_string(heap.kind())},
            {"size", about.size},
            {"capacity", about.capacity},
            {"huge_bytes", about.huge_bytes},
            {"is_dmabuf", about.is_dmabuf},
            {"inode", nullptr},
            {"exporter", nullptr},
            {"name", nullptr},
            {"format", picture ? to_json(*picture) : Json()},
            {"held_elsewhere", named->held_elsewhere()},
            {"owner", {{"uid", st.st_uid}, {"gid", st.st_gid}, {"mode", st.st_mode & 07777}}}};
  if (!about.is_dmabuf) return json;
  json["inode"] = about.dmabuf_inode;
  json["exporter"] = about.exporter;
  if (const std::string name = dmabuf_name(about.pid_fd); !name.empty()) json["name"] = name;
  return json;
}

}  // namespace dmabuffs
