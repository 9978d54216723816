// SPDX-License-Identifier: MIT
#include "dmabuffs/fuse/operations.h"

#include <sys/xattr.h>

#include "dmabuffs/base/log.h"

namespace dmabuffs {

Caller caller_of(fuse_req_t request) {
  const fuse_ctx* context = fuse_req_ctx(request);
  return {context->uid, context->gid, context->pid, context->umask};
}

mode_t made_mode(const Node& parent, const Caller& caller, mode_t mode) {
  return parent.applies_umask() ? mode : mode & ~caller.umask;
}

void answer_exception(fuse_req_t request) noexcept {
  int code = EIO;
  try {
    throw;
  } catch (const std::bad_alloc&) {
    code = ENOMEM;
  } catch (const std::exception& problem) {
    log_error(problem.what());
  } catch (...) {
    log_error("a request failed by an unknown exception");
  }
  fuse_reply_err(request, code);
}

void reply_error(fuse_req_t request, const Error& error) {
  if (MustNotWait::was_put_off()) throw Elsewhere();
  // These tell the caller nothing of why; the rest are self-explaining and common.
  if (error.code == EIO || error.code == ENOMEM || error.code == EBUSY || error.code == ENOSPC ||
      error.code == EFBIG || error.code == ENODEV) {
    log_warning(error.message, error.code);
    session_of(request).context().engine.counters().refuse(error.message);
  }
  fuse_reply_err(request, error.code);
}

void forget(Session& session, fuse_ino_t ino, uint64_t count) noexcept {
  NodePtr last = session.nodes().forget(ino, count);
  if (!last) return;
  const auto end = [](NodePtr& node, std::shared_ptr<void>& freeing) {
    node->forgotten();
    node.reset();
    freeing.reset();
  };
  std::shared_ptr<void> freeing;
  try {
    freeing = session.context().freeing.begin();
    session.waiting().run(BlockingPool::kDaemon,
                          [node = last, freeing, end]() mutable { end(node, freeing); });
    return;
  } catch (const std::exception&) {  // no memory to hand it over
  }
  end(last, freeing);
}

Result<fuse_entry_param> make_entry(fuse_req_t request, const NodePtr& node) {
  auto attributes = TRY(node->getattr(caller_of(request), nullptr));
  fuse_entry_param entry{};
  entry.ino = node->ino();
  entry.attr = attributes;
  entry.entry_timeout = node->name_timeout();
  entry.attr_timeout = node->timeout();
  session_of(request).nodes().remember(node);
  return entry;
}

Result<fuse_entry_param> make_new_entry(fuse_req_t request, const NodePtr& node) {
  auto entry = make_entry(request, node);
  if (entry) entry->attr_timeout = node->new_timeout();
  return entry;
}

void reply_entry(fuse_req_t request, const Result<NodePtr>& node) {
  if (!node) return reply_error(request, node.error());
  const auto entry = make_entry(request, *node);
  if (!entry) return reply_error(request, entry.error());
  Session& session = session_of(request);
  if (fuse_reply_entry(request, &*entry) != 0) forget(session, entry->ino, 1);
}

namespace {

void op_lookup(fuse_req_t request, fuse_ino_t parent, const char* name) {
  with_node(request, parent, [&](const NodePtr& node) {
    const auto found = node->lookup(caller_of(request), name);
    if (found || found.error().code != ENOENT || node->absence_timeout() == 0)
      return reply_entry(request, found);
    fuse_entry_param absent{};  // inode 0: there is none
    absent.entry_timeout = node->absence_timeout();
    fuse_reply_entry(request, &absent);
  });
}

void op_forget(fuse_req_t request, fuse_ino_t ino, uint64_t count) noexcept {
  Session& session = session_of(request);
  fuse_reply_none(request);
  forget(session, ino, count);
}

void op_forget_multi(fuse_req_t request, size_t count, fuse_forget_data* forgets) noexcept {
  Session& session = session_of(request);
  for (size_t i = 0; i < count; ++i) forget(session, forgets[i].ino, forgets[i].nlookup);
  fuse_reply_none(request);
}

void reply_attributes(fuse_req_t request, const NodePtr& node, OpenFile* open) {
  const auto attributes = node->getattr(caller_of(request), open);
  if (!attributes) return reply_error(request, attributes.error());
  fuse_reply_attr(request, &*attributes, node->timeout());
}

void op_getattr(fuse_req_t request, fuse_ino_t ino, fuse_file_info* info) {
  with_node(request, ino, [&](const NodePtr& node) {
    reply_attributes(request, node, info != nullptr ? handle_of(info).file.get() : nullptr);
  });
}

AttributeChange change_of(const struct stat& st, int set) {
  constexpr struct timespec now { 0, UTIME_NOW };
  AttributeChange change;
  if ((set & FUSE_SET_ATTR_MODE) != 0) change.mode = st.st_mode;
  if ((set & FUSE_SET_ATTR_UID) != 0) change.uid = st.st_uid;
  if ((set & FUSE_SET_ATTR_GID) != 0) change.gid = st.st_gid;
  if ((set & FUSE_SET_ATTR_SIZE) != 0) change.size = static_cast<uint64_t>(st.st_size);
  if ((set & FUSE_SET_ATTR_ATIME) != 0) change.atime = st.st_atim;
  if ((set & FUSE_SET_ATTR_MTIME) != 0) change.mtime = st.st_mtim;
  if ((set & FUSE_SET_ATTR_ATIME_NOW) != 0) change.atime = now;
  if ((set & FUSE_SET_ATTR_MTIME_NOW) != 0) change.mtime = now;
  return change;
}

void op_setattr(fuse_req_t request, fuse_ino_t ino, struct stat* attributes, int set, fuse_file_info* info) {
  with_node(request, ino, [&](const NodePtr& node) {
    const AttributeChange change = change_of(*attributes, set);
    // A new size allocates, copies or zeroes.
    if (change.size) going_to_wait();
    // The kernel holds the file open for as long as the request runs, so its handle stays.
    OpenFile* open = info != nullptr ? handle_of(info).file.get() : nullptr;
    const auto done = node->setattr(caller_of(request), change, open);
    if (!done) return reply_error(request, done.error());
    reply_attributes(request, node, open);
  });
}

/// What frees, copies or zeroes takes its time; the kernel holds a regular file meanwhile, no directory.
void setattr_callback(fuse_req_t request, fuse_ino_t ino, struct stat* attributes, int set,
                      fuse_file_info* info) noexcept {
  const auto run = (set & FUSE_SET_ATTR_SIZE) != 0 ? callback<op_setattr> : name_callback<op_setattr>;
  run(request, ino, attributes, set, info);
}

void op_readlink(fuse_req_t request, fuse_ino_t ino) {
  with_node(request, ino, [&](const NodePtr& node) {
    const auto target = node->readlink(caller_of(request));
    target ? (void)fuse_reply_readlink(request, target->c_str()) : reply_error(request, target.error());
  });
}

void op_mknod(fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode, dev_t device) {
  with_node(request, parent, [&](const NodePtr& node) {
    const Caller caller = caller_of(request);
    reply_entry(request, node->mknod(caller, name, made_mode(*node, caller, mode), device));
  });
}

void op_mkdir(fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode) {
  with_node(request, parent, [&](const NodePtr& node) {
    const Caller caller = caller_of(request);
    reply_entry(request, node->mkdir(caller, name, made_mode(*node, caller, mode)));
  });
}

void op_symlink(fuse_req_t request, const char* target, fuse_ino_t parent, const char* name) {
  with_node(request, parent, [&](const NodePtr& node) {
    reply_entry(request, node->symlink(caller_of(request), target, name));
  });
}

void op_link(fuse_req_t request, fuse_ino_t ino, fuse_ino_t new_parent, const char* name) {
  with_node(request, ino, [&](const NodePtr& existing) {
    with_node(request, new_parent, [&](const NodePtr& parent) {
      reply_entry(request, parent->link(caller_of(request), *existing, name));
    });
  });
}

void op_unlink(fuse_req_t request, fuse_ino_t parent, const char* name) {
  with_node(request, parent,
            [&](const NodePtr& node) { reply_done(request, node->unlink(caller_of(request), name)); });
}

void op_rmdir(fuse_req_t request, fuse_ino_t parent, const char* name) {
  with_node(request, parent,
            [&](const NodePtr& node) { reply_done(request, node->rmdir(caller_of(request), name)); });
}

void op_rename(fuse_req_t request, fuse_ino_t parent, const char* name, fuse_ino_t new_parent,
               const char* new_name, unsigned flags) {
  with_node(request, parent, [&](const NodePtr& from) {
    with_node(request, new_parent, [&](const NodePtr& to) {
      reply_done(request, from->rename(caller_of(request), name, *to, new_name, flags));
    });
  });
}

void op_statfs(fuse_req_t request, fuse_ino_t ino) {
  going_to_wait();  // for what is being freed
  with_node(request, ino, [&](const NodePtr& node) {
    const auto found = node->statfs(caller_of(request));
    found ? (void)fuse_reply_statfs(request, &*found) : reply_error(request, found.error());
  });
}

/// The two-step protocol of getxattr and listxattr: size 0 asks how much there is.
void reply_xattr(fuse_req_t request, const std::string& value, size_t size) {
  if (size == 0) {
    fuse_reply_xattr(request, value.size());
  } else if (value.size() > size) {
    fuse_reply_err(request, ERANGE);
  } else {
    fuse_reply_buf(request, value.data(), value.size());
  }
}

void op_getxattr(fuse_req_t request, fuse_ino_t ino, const char* name, size_t size) {
  with_node(request, ino, [&](const NodePtr& node) {
    const auto value = node->getxattr(caller_of(request), name);
    value ? reply_xattr(request, *value, size) : reply_error(request, value.error());
  });
}

void op_listxattr(fuse_req_t request, fuse_ino_t ino, size_t size) {
  with_node(request, ino, [&](const NodePtr& node) {
    const auto names = node->listxattr(caller_of(request));
    if (!names) return reply_error(request, names.error());
    std::string list;
    for (const auto& name : *names) list += name + '\0';
    reply_xattr(request, list, size);
  });
}

void op_setxattr(fuse_req_t request, fuse_ino_t ino, const char* name, std::span<const char> value,
                 int flags) {
  with_node(request, ino, [&](const NodePtr& node) {
    reply_done(request, node->setxattr(caller_of(request), name, {value.data(), value.size()}, flags));
  });
}

/// Two arguments of libfuse are one of ours: the value is no C string.
void setxattr_callback(fuse_req_t request, fuse_ino_t ino, const char* name, const char* value, size_t size,
                       int flags) noexcept {
  dispatch::run<op_setxattr, &Session::names>(request, ino, name, std::span(value, size), flags);
}

void op_removexattr(fuse_req_t request, fuse_ino_t ino, const char* name) {
  with_node(request, ino,
            [&](const NodePtr& node) { reply_done(request, node->removexattr(caller_of(request), name)); });
}

}  // namespace

void add_name_operations(fuse_lowlevel_ops& ops, bool xattrs) {
  ops.lookup = name_callback<op_lookup>;
  ops.forget = op_forget;
  ops.forget_multi = op_forget_multi;
  ops.getattr = name_callback<op_getattr>;
  ops.setattr = setattr_callback;
  ops.readlink = name_callback<op_readlink>;
  ops.mknod = name_callback<op_mknod>;
  ops.mkdir = name_callback<op_mkdir>;
  ops.symlink = name_callback<op_symlink>;
  ops.link = name_callback<op_link>;
  ops.unlink = name_callback<op_unlink>;
  ops.rmdir = name_callback<op_rmdir>;
  ops.rename = name_callback<op_rename>;
  ops.statfs = callback<op_statfs>;
  if (!xattrs) return;
  ops.getxattr = name_callback<op_getxattr>;
  ops.listxattr = name_callback<op_listxattr>;
  ops.setxattr = setxattr_callback;
  ops.removexattr = name_callback<op_removexattr>;
}

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

/// The lookups that a listing counts for the kernel: taken back if that does not get the listing.
class Lookups {
 public:
  explicit Lookups(Session& session) : session_(session) {}
  Lookups(const Lookups&) = delete;
  Lookups& operator=(const Lookups&) = delete;
  ~Lookups() {
    for (const fuse_ino_t ino : counted_) forget(session_, ino, 1);
  }

  Result<fuse_entry_param> make(fuse_req_t request, const NodePtr& node) {
    counted_.reserve(counted_.size() + 1);
    auto entry = TRY(make_entry(request, node));
    counted_.push_back(entry.ino);
    return entry;
  }
  void given() { counted_.clear(); }

 private:
  Session& session_;
  std::vector<fuse_ino_t> counted_;
};

size_t add_plus(fuse_req_t request, DirectoryHandle& handle, Lookups& lookups, const DirectoryEntry& entry,
                char* at, size_t room) {
  const auto next = static_cast<off_t>(entry.place);
  fuse_entry_param param{};
  param.attr.st_ino = entry.ino;
  param.attr.st_mode = entry.type;
  if (entry.name != "." && entry.name != "..") {
    // Checked first: a lookup that then does not fit would be one for nothing.
    if (fuse_add_direntry_plus(request, nullptr, 0, entry.name.c_str(), &param, next) > room) return room + 1;
    if (auto node = handle.node->lookup(caller_of(request), entry.name)) {
      if (auto made = lookups.make(request, *node)) param = *made;
    }
  }
  return fuse_add_direntry_plus(request, at, room, entry.name.c_str(), &param, next);
}

/// The part of the listing after the place `offset` that fits into `size` bytes.
Result<std::vector<char>> read_entries(fuse_req_t request, DirectoryHandle& handle, size_t size, off_t offset,
                                       Lookups* plus) {
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
          plus ? add_plus(request, handle, *plus, entry, at, room) : add_plain(request, entry, at, room);
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
  Lookups lookups(session_of(request));
  const auto out = read_entries(request, directory_of(info), size, offset, plus ? &lookups : nullptr);
  // From the answer on RELEASEDIR may free the handle at any moment, so its mutex is let go before.
  if (!out) return reply_error(request, out.error());
  if (fuse_reply_buf(request, out->data(), out->size()) == 0) lookups.given();
}

void op_readdir(fuse_req_t request, fuse_ino_t, size_t size, off_t offset, fuse_file_info* info) {
  read_directory(request, size, offset, info, false);
}

void op_readdirplus(fuse_req_t request, fuse_ino_t, size_t size, off_t offset, fuse_file_info* info) {
  read_directory(request, size, offset, info, true);
}

}  // namespace

void add_directory_operations(fuse_lowlevel_ops& ops) {
  ops.opendir = name_callback<op_opendir>;
  ops.releasedir = callback<op_releasedir>;
  ops.fsyncdir = name_callback<op_fsyncdir>;
  ops.readdir = name_callback<op_readdir>;
  ops.readdirplus = name_callback<op_readdirplus>;
}

}  // namespace dmabuffs
