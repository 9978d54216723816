// SPDX-License-Identifier: MIT
#include "dmabuffs/fs/buffer_node.h"

#include <sys/xattr.h>

#include "dmabuffs/fs/heap_directory.h"
#include "dmabuffs/fs/open_buffer.h"
#include "dmabuffs/fs/static_directory.h"

namespace dmabuffs {

namespace {
/// Set-id bits mean nothing on a buffer, and keeping them would need the kernel's privilege dance on each
/// write.
constexpr mode_t kKeptBits = 01777;

/// What takes writes by passthrough changes without the daemon, so its own inode has the times.
int time_keeper(const Buffer& buffer) {
  return buffer.writes_pass() ? buffer.passthrough_fd() : -1;
}
}  // namespace

BufferFile::BufferFile(MountContext& context, std::shared_ptr<Buffer> buffer, const Attributes& attributes)
    : BufferNode(context.numbers.next()),
      context_(context),
      buffer_(std::move(buffer)),
      attributes_(attributes) {
  attributes_.mode = S_IFREG | (attributes.mode & kKeptBits);
}

BufferFile::~BufferFile() = default;

void BufferFile::placed(std::shared_ptr<HeapDirectory> parent, const std::string& name) {
  {
    const std::lock_guard lock(mutex_);
    parent_ = parent;
    name_ = name;
    linked_ = true;
    leaving_.reset();
    attributes_.touch_change();
  }
  buffer_->set_name(name);
}

void BufferFile::unlinked() {
  const std::lock_guard lock(mutex_);
  linked_ = false;
  leaving_ = context_.freeing.expect();
  attributes_.touch_change();
}

std::string BufferFile::path() const {
  std::shared_ptr<HeapDirectory> parent;
  std::string name;
  {
    const std::lock_guard lock(mutex_);
    if (!linked_) return {};
    parent = parent_.lock();
    name = name_;
  }
  return parent ? parent->path() + "/" + name : std::string();
}

NodePtr BufferFile::parent() const {
  const std::lock_guard lock(mutex_);
  return linked_ ? NodePtr(parent_.lock()) : nullptr;
}

Result<struct stat> BufferFile::getattr(const Caller&, OpenFile*) {
  const BufferInfo info = buffer_->info();
  struct stat st {};
  {
    const std::lock_guard lock(mutex_);
    st = attributes_.to_stat(ino(), linked_ ? 1 : 0);
  }
  buffer_->wait_for_accepted();
  struct stat own {};
  if (const int keeper = time_keeper(*buffer_); keeper >= 0 && ::fstat(keeper, &own) == 0) {
    st.st_atim = own.st_atim;
    st.st_mtim = own.st_mtim;
    if (later(own.st_ctim, st.st_ctim)) st.st_ctim = own.st_ctim;
  }
  st.st_size = static_cast<off_t>(info.size);
  st.st_blocks = static_cast<blkcnt_t>(info.capacity / 512);
  return st;
}

Result<void> BufferFile::setattr(const Caller&, const AttributeChange& change, OpenFile*) {
  if (change.size) {
    if (auto done = buffer_->resize(*change.size); !done) return done;
    contents_changed();
  }
  buffer_->wait_for_accepted();  // what moves later would change the times again
  const std::lock_guard lock(mutex_);
  if (change.mode) attributes_.mode = S_IFREG | (*change.mode & kKeptBits);
  if (change.uid) attributes_.uid = *change.uid;
  if (change.gid) attributes_.gid = *change.gid;
  const auto resolved = [](const struct timespec& t) { return t.tv_nsec == UTIME_NOW ? time_now() : t; };
  if (change.atime) attributes_.atime = resolved(*change.atime);
  if (change.mtime) attributes_.mtime = resolved(*change.mtime);
  attributes_.touch_change();
  if (const int keeper = time_keeper(*buffer_); keeper >= 0 && (change.atime || change.mtime)) {
    constexpr struct timespec omit { 0, UTIME_OMIT };
    const struct timespec times[2] = {change.atime ? attributes_.atime : omit,
                                      change.mtime ? attributes_.mtime : omit};
    if (::futimens(keeper, times) != 0) return fail_errno(errno, name_);
  }
  return {};
}

Result<OpenPtr> BufferFile::open(const Caller& caller, int flags) {
  return OpenPtr(std::make_shared<OpenBuffer>(std::static_pointer_cast<BufferFile>(shared_from_this()), flags,
                                              caller.uid));
}

Result<struct statvfs> BufferFile::statfs(const Caller&) {
  return budget_statvfs(context_);
}

void BufferFile::opened() {
  const std::lock_guard lock(mutex_);
  ++open_;
}

void BufferFile::closing() {
  const std::lock_guard lock(mutex_);
  if (leaving_) leaving_->renew();
}

void BufferFile::closed() {
  bool last = false;
  {
    const std::lock_guard lock(mutex_);
    last = --open_ == 0;
  }
  if (last) buffer_->idle();
}

void BufferFile::contents_changed() {
  buffer_->touch();
  const std::lock_guard lock(mutex_);
  attributes_.touch();
}

Result<std::string> BufferFile::getxattr(const Caller&, const std::string& name) {
  const std::lock_guard lock(mutex_);
  const auto found = xattrs_.find(name);
  if (found == xattrs_.end()) return fail_errno(ENODATA, name);
  return found->second;
}

Result<std::vector<std::string>> BufferFile::listxattr(const Caller&) {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> names;
  for (const auto& [name, value] : xattrs_) names.push_back(name);
  return names;
}

Result<void> BufferFile::setxattr(const Caller&, const std::string& name, const std::string& value,
                                  int flags) {
  if (!name.starts_with("user.")) return fail_errno(ENOTSUP, name);
  const std::lock_guard lock(mutex_);
  const bool known = xattrs_.contains(name);
  if ((flags & XATTR_CREATE) != 0 && known) return fail_errno(EEXIST, name);
  if ((flags & XATTR_REPLACE) != 0 && !known) return fail_errno(ENODATA, name);
  size_t held = value.size();
  for (const auto& [other, text] : xattrs_) held += other == name ? 0 : text.size();
  if (held > 65536) return fail_errno(ENOSPC, name);
  xattrs_[name] = value;
  attributes_.touch_change();
  return {};
}

Result<void> BufferFile::removexattr(const Caller&, const std::string& name) {
  const std::lock_guard lock(mutex_);
  if (xattrs_.erase(name) == 0) return fail_errno(ENODATA, name);
  attributes_.touch_change();
  return {};
}

}  // namespace dmabuffs
