// SPDX-License-Identifier: MIT
#include "dmabuffs/control/server/info.h"

#include <fstream>

#include "dmabuffs/tree/heaps/buffer_file.h"

namespace dmabuffs {

namespace {

constexpr uint64_t kRootNode = 1;

/// The name that DMA_BUF_SET_NAME gave, from fdinfo; empty without one.
std::string dmabuf_name(int fd) {
  std::ifstream about("/proc/self/fdinfo/" + std::to_string(fd));
  for (std::string line; std::getline(about, line);) {
    constexpr std::string_view kKey = "name:\t";
    if (line.rfind(kKey, 0) == 0) return line.substr(kKey.size());
  }
  return {};
}

}  // namespace

Result<Json> describe(Node& node, const Caller& caller) {
  auto* named = dynamic_cast<BufferFile*>(&node);
  if (!named) return fail(EINVAL, "not a buffer: info is about files below heaps/");
  const auto st = node.getattr(caller, nullptr);
  if (!st) return Failure(st.error());
  const BufferInfo about = named->info();
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
            {"format", nullptr},
            {"owner", {{"uid", st->st_uid}, {"gid", st->st_gid}, {"mode", st->st_mode & 07777}}}};
  if (!about.is_dmabuf) return json;
  json["inode"] = about.dmabuf_inode;
  json["exporter"] = about.exporter;
  if (const std::string name = dmabuf_name(about.pid_fd); !name.empty()) json["name"] = name;
  return json;
}

Result<std::string> read_status(const ControlSocket::FindNode& find, const Caller& caller) {
  const NodePtr root = find(kRootNode);
  if (!root) return fail(ENOENT, "status: the mount has no root any more");
  auto node = root->lookup(caller, "status");
  if (!node) return pass(std::move(node));
  auto open = (*node)->open(caller, O_RDONLY);
  if (!open) return pass(std::move(open));
  std::string text;
  constexpr size_t kStep = 64 * 1024;
  while (true) {
    const size_t done = text.size();
    text.resize(done + kStep);
    auto got = (*open)->read(done, std::as_writable_bytes(std::span(text).subspan(done)));
    if (!got) return pass(std::move(got));
    text.resize(done + *got);
    if (*got == 0) return text;
  }
}

}  // namespace dmabuffs
