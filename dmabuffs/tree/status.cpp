// SPDX-License-Identifier: MIT
#include "dmabuffs/tree/status.h"

#include <malloc.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <ctime>
#include <map>

#include "dmabuffs/control/message.h"
#include "dmabuffs/heap/import_heap.h"
#include "dmabuffs/tree/attributes.h"
#include "dmabuffs/tree/caller_rights.h"
#include "dmabuffs/tree/heaps/buffer_file.h"

namespace dmabuffs {

namespace {

constexpr size_t kLongText = size_t{1} << 20;

using BufferFiles = std::vector<std::shared_ptr<BufferFile>>;

/// Taken first and looked at afterwards: the visit may hold a lock that asking a node needs.
BufferFiles named_buffers(HeapsRoot& heaps) {
  BufferFiles found;
  heaps.each_buffer([&](BufferFile& node) {
    found.push_back(std::static_pointer_cast<BufferFile>(node.shared_from_this()));
  });
  return found;
}

/// Whether one caller may read buffers: by their mode bits and search permission on all directories above, as
/// the kernel would decide. Thousands of buffers share a few directories, each of which is asked once.
class Reader {
 public:
  explicit Reader(const Caller& caller) : caller_(caller), groups_(credentials_of(caller).groups) {}

  bool may_read(Node& node) {
    const auto st = node.getattr(caller_, nullptr);
    return st && permitted(*st, caller_.uid, caller_.gid, groups_, 4) && may_reach(node.parent());
  }

 private:
  bool may_reach(const NodePtr& directory) {
    if (!directory) return true;
    const auto known = reached_.find(directory);
    if (known != reached_.end()) return known->second;
    const auto st = directory->getattr(caller_, nullptr);
    const bool may =
        st && permitted(*st, caller_.uid, caller_.gid, groups_, 1) && may_reach(directory->parent());
    return reached_[directory] = may;
  }

  const Caller caller_;
  const std::vector<gid_t> groups_;
  std::map<NodePtr, bool> reached_;
};

/// As ISO 8601.
std::string utc_text(std::time_t time) {
  std::tm parts{};
  std::array<char, 32> text{};
  ::gmtime_r(&time, &parts);
  return {text.data(), std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &parts)};
}

Json versions(const MountContext& context) {
  utsname system{};
  ::uname(&system);
  return {{"dmabuffs", DMABUFFS_VERSION},
          {"libfuse", context.libfuse},
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

/// null: nothing outlives the daemon.
Json kept(const MountContext& context) {
  if (!context.keeper) return {};
  const Keeper::Figures figures = context.keeper->figures();
  return {{"descriptors", figures.descriptors}, {"limit", figures.limit}, {"refused", figures.refused}};
}

/// What status tells of heaps and buffers, gathered in one pass. A buffer becomes text at once: ten thousand
/// of them as a JSON tree would take tens of MiB for the moment.
class Inventory {
 public:
  Inventory(MountContext& context, const Caller& caller) : reader_(caller) {
    rows_[ImportHeap::kName] = {to_string(HeapKind::Import), true};
    for (const auto& heap : context.heaps->scan()) row(*heap);
  }

  void add(BufferFile& node) {
    const BufferInfo about = node.info();
    const Heap& heap = node.heap();
    Row& its = row(heap);
    ++its.buffers;
    its.bytes += about.capacity;
    if (!reader_.may_read(node)) return;
    lines_ += lines_.empty() ? "\n    " : ",\n    ";
    lines_ += to_text(Json{{"path", node.path()},
                           {"heap", heap.name()},
                           {"size", about.size},
                           {"capacity", about.capacity},
                           {"is_dmabuf", about.is_dmabuf},
                           {"inode", about.is_dmabuf ? Json(about.dmabuf_inode) : Json()}});
  }

  /// Heaps there are now, and those that have gone but whose buffers live on.
  [[nodiscard]] Json heaps() const {
    Json list = Json::array();
    for (const auto& [name, row] : rows_)
      list.push_back({{"name", name},
                      {"kind", row.kind},
                      {"is_dmabuf", row.is_dmabuf},
                      {"buffers", row.buffers},
                      {"bytes", row.bytes}});
    return list;
  }

  /// Bytes of dma-bufs that others have made.
  [[nodiscard]] uint64_t imported() const { return rows_.at(ImportHeap::kName).bytes; }

  /// The text of `object` with a first member "buffers".
  [[nodiscard]] std::string text_with(const Json& object) const {
    const std::string rest = to_text(object, 2);
    std::string text;
    text.reserve(lines_.size() + rest.size() + 32);
    text += "{\n  \"buffers\": [" + lines_;
    text += lines_.empty() ? "]," : "\n  ],";
    return text.append(rest, 1) + "\n";
  }

 private:
  struct Row {
    std::string kind;
    bool is_dmabuf = false;
    uint64_t buffers = 0, bytes = 0;
  };

  Row& row(const Heap& heap) {
    const auto [found, added] = rows_.try_emplace(heap.name());
    if (added) found->second = {to_string(heap.kind()), heap.is_dmabuf()};
    return found->second;
  }

  Reader reader_;
  std::map<std::string, Row> rows_;
  std::string lines_;
};

class OpenStatus : public OpenFile {
 public:
  explicit OpenStatus(std::string text) : text_(std::move(text)) {}
  ~OpenStatus() override {
    if (text_.size() < kLongText) return;
    // Freed memory is kept for the next allocation, which may come from another thread's arena.
    text_ = {};
    ::malloc_trim(0);
  }
  OpenStatus(const OpenStatus&) = delete;
  OpenStatus& operator=(const OpenStatus&) = delete;
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

  /// All buffers are.
  [[nodiscard]] bool asks_others() const override { return true; }

  Result<struct stat> getattr(const Caller& caller, OpenFile* open) override {
    const auto* opened = dynamic_cast<OpenStatus*>(open);
    struct stat st {};
    st.st_ino = ino();
    st.st_mode = S_IFREG | 0444;
    st.st_nlink = 1;
    st.st_uid = context_.owner_uid;
    st.st_gid = context_.owner_gid;
    st.st_size = static_cast<off_t>(opened ? opened->size() : last_size(caller));
    st.st_blksize = 4096;
    st.st_blocks = (st.st_size + 511) / 512;
    ::clock_gettime(CLOCK_REALTIME, &st.st_mtim);
    st.st_atim = st.st_ctim = st.st_mtim;
    return st;
  }

  Result<OpenPtr> open(const Caller& caller, int flags) override {
    if ((flags & O_ACCMODE) != O_RDONLY) return fail(EACCES, "status: can only be read");
    return std::make_shared<OpenStatus>(render(caller));
  }

 private:
  std::string render(const Caller& caller) {
    std::string text = render_status(context_, *heaps_, caller);
    last_size_.store(text.size(), std::memory_order_relaxed);
    return text;
  }

  /// Of what was rendered last, by an open: `ls -l` of the root asks, and rendering tens of thousands of
  /// buffers for that costs too much. Tools that open it and then read as much as fstat promises (tar) get
  /// all of it.
  size_t last_size(const Caller& caller) {
    const size_t last = last_size_.load(std::memory_order_relaxed);
    return last != 0 ? last : render(caller).size();
  }

  MountContext& context_;
  std::shared_ptr<HeapsRoot> heaps_;
  std::atomic<size_t> last_size_{0};
};

}  // namespace

std::string render_status(MountContext& context, HeapsRoot& heaps, const Caller& caller) {
  Inventory inventory(context, caller);
  for (const auto& node : named_buffers(heaps)) inventory.add(*node);
  const Counters::Snapshot counted = context.engine.counters().snapshot();
  // Reasons and refusals name files, which other users need not know of.
  const bool trusted = caller.uid == 0 || caller.uid == context.owner_uid;
  Json json{{"version", versions(context)},
            {"mountpoint", context.settings.mountpoint},
            {"owner", context.owner_uid},
            {"pid", ::getpid()},
            {"socket", context.control_socket.empty() ? Json() : Json(context.control_socket)},
            {"settings", settings(context, trusted)},
            {"heaps", inventory.heaps()},
            {"transfers", Json::object()},
            {"reasons", Json::array()},
            {"refused", Json::array()},
            {"memory",
             {{"limit", context.budget.limit()},
              {"used", context.budget.used()},
              {"recycled", context.recycler.held()},
              {"held_elsewhere", context.recycler.held_elsewhere()},
              {"imported", inventory.imported()}}},
            {"kept", kept(context)},
            {"through_daemon",
             {{"read_bytes", context.read_bytes.load()}, {"written_bytes", context.written_bytes.load()}}},
            {"passthrough",
             {{"state", context.passthrough.possible() ? "on" : "off"},
              {"opens", context.passthrough_opens.load()},
              {"bytes", "not counted"}}}};
  for (size_t i = 0; i < kPathCount; ++i)
    json["transfers"][to_string(static_cast<Path>(i))] = {{"operations", counted.paths[i].operations},
                                                          {"bytes", counted.paths[i].bytes}};
  if (!trusted) return inventory.text_with(json);
  for (const Refusal& refused : counted.refused)
    json["refused"].push_back(
        {{"message", refused.message}, {"times", refused.times}, {"last", utc_text(refused.last)}});
  for (const Reason& reason : counted.reasons)
    json["reasons"].push_back(
        {{"path", to_string(reason.path)}, {"why", reason.why}, {"bytes", reason.bytes}});
  return inventory.text_with(json);
}

NodePtr make_status_node(MountContext& context, std::shared_ptr<HeapsRoot> heaps) {
  return std::make_shared<StatusNode>(context, std::move(heaps));
}

}  // namespace dmabuffs
