// SPDX-License-Identifier: MIT
#include "dmabuffs/fs/status.h"

#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <ctime>

#include "dmabuffs/fs/caller_rights.h"
#include "dmabuffs/fs/control_message.h"
#include "dmabuffs/fs/fuse_version.h"

namespace dmabuffs {

namespace {

using BufferNodes = std::vector<std::shared_ptr<BufferNode>>;

/// Taken first and looked at afterwards: the visit may hold a lock that asking a node needs.
BufferNodes named_buffers(HeapsRoot& heaps) {
  BufferNodes found;
  heaps.each_buffer([&](BufferNode& node) {
    found.push_back(std::static_pointer_cast<BufferNode>(node.shared_from_this()));
  });
  return found;
}

/// By mode bits of the buffer and search permission on all directories above it, as the kernel would decide.
bool may_read(const Caller& caller, const std::vector<gid_t>& groups, Node& node) {
  const auto st = node.getattr(caller, nullptr);
  if (!st || !permitted(*st, caller.uid, caller.gid, groups, 4)) return false;
  for (NodePtr above = node.parent(); above; above = above->parent()) {
    const auto directory = above->getattr(caller, nullptr);
    if (!directory || !permitted(*directory, caller.uid, caller.gid, groups, 1)) return false;
  }
  return true;
}

Json versions() {
  utsname system{};
  ::uname(&system);
  return {{"dmabuffs", DMABUFFS_VERSION},
          {"libfuse", ::fuse_pkgversion()},
          {"kernel", system.release},
          {"protocol", kControlProtocol}};
}

Json settings(const MountContext& context, bool trusted) {
  const MountSettings& set = context.settings;
  Json json{{"require_direct", set.require_direct},
            {"allow_other", set.allow_other},
            {"read_only", set.read_only},
            {"xattr", set.xattr},
            {"passthrough", set.passthrough},
            {"size", context.budget.limit()},
            {"recycle", set.recycle},
            {"files", Json::array()}};
  for (const FilesOption& files : set.files) {
    Json shown{{"name", files.name}};
    if (trusted) shown["directory"] = files.directory;
    json["files"].push_back(std::move(shown));
  }
  return json;
}

/// Heaps there are now, and those that have gone but whose buffers live on.
Json heap_list(MountContext& context, const BufferNodes& buffers) {
  std::map<std::string, Json> rows;
  const auto row = [&](const Heap& heap) -> Json& {
    Json& json = rows[heap.name()];
    if (json.is_null())
      json = {{"name", heap.name()},
              {"kind", to_string(heap.kind())},
              {"is_dmabuf", heap.is_dmabuf()},
              {"buffers", 0},
              {"bytes", 0}};
    return json;
  };
  for (const auto& heap : context.heaps->scan()) row(*heap);
  for (const auto& node : buffers) {
    Json& json = row(node->buffer()->heap());
    json["buffers"] = json["buffers"].get<uint64_t>() + 1;
    json["bytes"] = json["bytes"].get<uint64_t>() + node->buffer()->info().capacity;
  }
  Json list = Json::array();
  for (auto& [name, json] : rows) list.push_back(std::move(json));
  return list;
}

Json buffer_list(const Caller& caller, const BufferNodes& buffers) {
  const std::vector<gid_t> groups = credentials_of(caller).groups;
  Json list = Json::array();
  for (const auto& node : buffers) {
    if (!may_read(caller, groups, *node)) continue;
    const BufferInfo about = node->buffer()->info();
    list.push_back({{"path", node->path()},
                    {"heap", node->buffer()->heap().name()},
                    {"size", about.size},
                    {"capacity", about.capacity},
                    {"is_dmabuf", about.is_dmabuf}});
  }
  return list;
}

class OpenStatus : public OpenFile {
 public:
  explicit OpenStatus(std::string text) : text_(std::move(text)) {}
  Result<size_t> read(uint64_t offset, std::span<std::byte> to) override {
    if (offset >= text_.size()) return size_t{0};
    const size_t length = std::min<size_t>(to.size(), text_.size() - offset);
    std::memcpy(to.data(), text_.data() + offset, length);
    return length;
  }
  Result<End> transfer_end(Access) override {
    return fail(EOPNOTSUPP, "status: is made when it is opened, so there is nothing to copy directly");
  }
  [[nodiscard]] size_t size() const { return text_.size(); }

 private:
  std::string text_;
};

class StatusNode : public Node {
 public:
  StatusNode(MountContext& context, std::shared_ptr<HeapsRoot> heaps)
      : Node(context.numbers.next()), context_(context), heaps_(std::move(heaps)) {}

  Result<struct stat> getattr(const Caller& caller, OpenFile* open) override {
    const auto* opened = dynamic_cast<OpenStatus*>(open);
    struct stat st {};
    st.st_ino = ino();
    st.st_mode = S_IFREG | 0444;
    st.st_nlink = 1;
    st.st_uid = context_.owner_uid;
    st.st_gid = context_.owner_gid;
    // Tools that read as much as stat promises (tar) get all of it.
    st.st_size =
        static_cast<off_t>(opened ? opened->size() : render_status(context_, *heaps_, caller).size());
    st.st_blksize = 4096;
    st.st_blocks = (st.st_size + 511) / 512;
    ::clock_gettime(CLOCK_REALTIME, &st.st_mtim);
    st.st_atim = st.st_ctim = st.st_mtim;
    return st;
  }

  Result<OpenPtr> open(const Caller& caller, int flags) override {
    if ((flags & O_ACCMODE) != O_RDONLY) return fail(EACCES, "status: can only be read");
    return std::make_shared<OpenStatus>(render_status(context_, *heaps_, caller));
  }

 private:
  MountContext& context_;
  std::shared_ptr<HeapsRoot> heaps_;
};

}  // namespace

std::string render_status(MountContext& context, HeapsRoot& heaps, const Caller& caller) {
  const BufferNodes buffers = named_buffers(heaps);
  const Counters::Snapshot counted = context.engine.counters().snapshot();
  // Reasons and refusals name files, which other users need not know of.
  const bool trusted = caller.uid == 0 || caller.uid == context.owner_uid;
  Json json{{"version", versions()},
            {"mountpoint", context.settings.mountpoint},
            {"owner", context.owner_uid},
            {"pid", ::getpid()},
            {"socket", context.control_socket.empty() ? Json() : Json(context.control_socket)},
            {"settings", settings(context, trusted)},
            {"heaps", heap_list(context, buffers)},
            {"buffers", buffer_list(caller, buffers)},
            {"transfers", Json::object()},
            {"reasons", Json::array()},
            {"refused", trusted ? Json(counted.refused) : Json::array()},
            {"memory",
             {{"limit", context.budget.limit()},
              {"used", context.budget.used()},
              {"recycled", context.recycler.held()}}},
            {"through_daemon",
             {{"read_bytes", context.read_bytes.load()}, {"written_bytes", context.written_bytes.load()}}},
            {"passthrough", {{"opens", context.passthrough_opens.load()}, {"bytes", "not counted"}}}};
  for (size_t i = 0; i < kPathCount; ++i)
    json["transfers"][to_string(static_cast<Path>(i))] = {{"operations", counted.paths[i].operations},
                                                          {"bytes", counted.paths[i].bytes}};
  if (trusted)
    for (const Reason& reason : counted.reasons)
      json["reasons"].push_back(
          {{"path", to_string(reason.path)}, {"why", reason.why}, {"bytes", reason.bytes}});
  return to_text(json, 2) + "\n";
}

NodePtr make_status_node(MountContext& context, std::shared_ptr<HeapsRoot> heaps) {
  return std::make_shared<StatusNode>(context, std::move(heaps));
}

}  // namespace dmabuffs
