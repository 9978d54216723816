// SPDX-License-Identifier: MIT
#include "dmabuffs/tree/heaps/buffer_file.h"

#include <exception>
#include <utility>

#include "dmabuffs/base/log.h"
#include "dmabuffs/base/must_not_wait.h"
#include "dmabuffs/buffer/imported_buffer.h"
#include "dmabuffs/heap/dmabuf_storage.h"
#include "dmabuffs/tree/attributes.h"
#include "dmabuffs/tree/heaps/directory.h"
#include "dmabuffs/tree/heaps/open_buffer.h"

namespace dmabuffs {

namespace {
/// Set-id bits mean nothing on a buffer, and keeping them would need the kernel's privilege dance on each
/// write.
constexpr mode_t kKeptBits = 01777;

/// What takes writes by passthrough changes without the daemon, so its own inode has the times.
int time_keeper(const Buffer& buffer) {
  return buffer.writes_pass() ? buffer.passthrough_fd() : -1;
}
struct timespec ctime_of(int fd) {
  struct stat st {};
  return ::fstat(fd, &st) == 0 ? st.st_ctim : timespec{};
}

uint64_t inode_of(int fd) {
  struct stat st {};
  return ::fstat(fd, &st) == 0 ? st.st_ino : 0;
}

/// Descriptors of the daemon's that a buffer may take: a memfd or what was imported; or a dma-buf, a
/// udmabuf's memfd and the kernel module's file.
uint64_t descriptors_of(const Heap& heap) {
  return heap.is_dmabuf() && heap.kind() != HeapKind::Import ? 3 : 1;
}

/// Those that the heap's devices want for this picture.
Result<std::string> strides_for(const image::Picture& picture, Heap& heap) {
  std::string all;
  for (size_t i = 0; i < picture.format->plane_count(); ++i) {
    const image::PlaneShape& shape = picture.format->planes[i];
    const bool is_pixels = picture.format->plane_count() == 1 && shape.horizontal == 1;
    const auto row = static_cast<uint32_t>(picture.row_bytes(i));
    const auto stride =
        TRY(is_pixels ? heap.stride_for(row, shape.bytes * 8U, picture.width) : heap.stride_for(row, 8, row));
    all += (i == 0 ? "" : ",") + std::to_string(stride);
  }
  return all;
}
}  // namespace

BufferFile::BufferFile(MountContext& context, std::shared_ptr<Heap> heap, const Attributes& attributes,
                       Share name)
    : HeapEntry(context, attributes, std::move(name)), heap_(std::move(heap)), maker_(attributes.uid) {
  attributes_.mode = S_IFREG | (attributes.mode & kKeptBits);
}

BufferFile::~BufferFile() = default;

std::shared_ptr<Buffer> BufferFile::buffer() const {
  const std::lock_guard lock(mutex_);
  return buffer_;
}

BufferInfo BufferFile::info() const {
  const auto held = buffer();
  return held ? held->info() : BufferInfo{};
}

void BufferFile::placed(const std::shared_ptr<HeapDirectory>& parent, const std::string& name) {
  HeapEntry::placed(parent, name);
  const std::lock_guard lock(mutex_);
  leaving_.reset();
  if (buffer_) buffer_->set_name(name);
}

void BufferFile::unlinked() {
  HeapEntry::unlinked();
  const std::lock_guard lock(mutex_);
  forget_memory();
  if (buffer_) leaving_ = context_.freeing.expect();
}

void BufferFile::describe(KeptEntry& entry) const {
  entry.mtime = attributes_now().mtime;
  entry.xattrs = xattrs_.all();
  entry.memory = kept_.number;
  entry.size = kept_.size;
  entry.huge_bytes = kept_.huge_bytes;
}

Result<void> BufferFile::restore(const KeptEntry& kept, UniqueFd memory) {
  for (const auto& [name, value] : kept.xattrs) TRY(setxattr({}, name, value, 0));
  const std::lock_guard lock(mutex_);
  if (!memory) {
    if (kept.size > 0) log_error(name_ + ": its memory was not kept; it is empty");
    return {};
  }
  const uint64_t inode = inode_of(memory.get());
  TRY(make_buffer());
  TRY(buffer_->restore(std::move(memory), kept.size, kept.huge_bytes));
  kept_ = {kept.memory, inode, kept.size, kept.huge_bytes};
  had_bytes_ = true;
  record();
  return {};
}

void BufferFile::keep(bool again) noexcept {
  // A worker comes here only with what it has just made.
  if (!context_.keeper || MustNotWait::here()) return;
  try {
    keep_now(again);
  } catch (const std::exception& problem) {
    log_error(std::string("a buffer may be empty when this daemon has ended: ") + problem.what());
  }
}

void BufferFile::keep_now(bool again) {
  const std::lock_guard one_at_a_time(keeping_);
  std::shared_ptr<Buffer> held;
  KeptMemory before;
  {
    const std::lock_guard lock(mutex_);
    if (!buffer_ || !linked_) return;
    held = buffer_;
    before = kept_;
  }
  KeptMemory now = before;
  held->offer([&](const Buffer::Memory& memory) {
    now = kept_now(memory, before, again);
    return now.number != 0;
  });
  const std::lock_guard lock(mutex_);
  if (!linked_) {
    held->no_longer_kept();
    if (now.number != before.number) context_.keeper->drop(now.number);
    return;
  }
  kept_ = now;
  record();
  if (now.number != before.number) context_.keeper->drop(before.number);
}

BufferFile::KeptMemory BufferFile::kept_now(const Buffer::Memory& memory, const KeptMemory& before,
                                            bool again) {
  if (memory.fd < 0) return {};
  const uint64_t inode = inode_of(memory.fd);
  const bool is_stored = before.inode == inode && (before.number != 0 || !again);
  const uint64_t number = is_stored ? before.number : context_.keeper->store(memory.fd, path(), share_.uid());
  return {number, inode, memory.size, memory.huge_bytes};
}

void BufferFile::forget_memory() {
  const KeptMemory before = std::exchange(kept_, {});
  if (before == KeptMemory{}) return;
  record();
  context_.keeper->drop(before.number);
  if (buffer_) buffer_->no_longer_kept();
}

void BufferFile::settle() {
  const auto held = buffer();
  if (!held) return;
  if (const auto done = held->flush(); !done) log_error(done.error().message);
  keep();
}

Result<BufferFile::Use> BufferFile::opened() {
  auto self = std::static_pointer_cast<BufferFile>(shared_from_this());
  for (bool waited = false;; waited = true) {
    Result<void> made;
    {
      const std::lock_guard lock(mutex_);
      if (!buffer_) made = make_buffer();
      if (made) {
        ++open_;
        return Use(std::move(self), buffer_);
      }
    }
    // What was removed gives back its descriptors with its memory. ENOMEM: a cgroup has none for an inode.
    const bool may_come = made.error().code == ENOSPC || made.error().code == ENOMEM;
    if (!may_come || waited || !context_.freeing.wait(std::chrono::seconds(10))) return pass(std::move(made));
  }
}

Result<void> BufferFile::make_buffer() {
  auto share = TRY(context_.shares.take_descriptors(maker_, descriptors_of(*heap_)));
  Bypass bypass;
  if (context_.passthrough.enabled()) bypass.module = &context_.engine.kernel_module();
  bypass.writes = context_.settings.size == 0;  // writes that pass by here pass `-o size=`, too
  auto made = Buffer::make(heap_, context_.recycler, maker_, name_, bypass);
  if (!heap_->is_dmabuf()) {
    // Without a memfd (EMFILE) it can't be written to.
    TRY(made->resize(0));
  }
  if (const int keeper = time_keeper(*made); keeper >= 0) {
    const struct timespec times[2] = {attributes_.atime, attributes_.mtime};
    (void)::futimens(keeper, times);
    keeper_made_ = ctime_of(keeper);
  }
  descriptors_ = std::make_shared<const Share>(std::move(share));
  buffer_ = std::move(made);
  return {};
}

Result<Buffer::HandedOut> BufferFile::hand_out(bool huge, const OpenFile& asked_by) {
  const auto use = TRY(opened());
  std::shared_ptr<const Share> charge;
  {
    const std::lock_guard lock(mutex_);
    const bool may_lose = !heap_->is_dmabuf() && !nobody_passes_ && use.buffer()->size() > 0;
    if (may_lose && passing_ > (asked_by.only_maps_pass() ? 0U : 1U))
      return fail(EBUSY, name_ + ": open elsewhere; its size can be fixed when that is closed");
    nobody_passes_ |= may_lose;
    charge = descriptors_;
  }
  auto out = use.buffer()->hand_out(huge, std::move(charge));
  keep();
  return out;
}

bool BufferFile::begin_passing() {
  const std::lock_guard lock(mutex_);
  if (nobody_passes_) return false;
  ++passing_;
  return true;
}

void BufferFile::end_passing() {
  const std::lock_guard lock(mutex_);
  --passing_;
}

bool BufferFile::held_elsewhere() const {
  const auto held = buffer();
  return held && held->held_elsewhere();
}

Result<void> BufferFile::import(UniqueFd dmabuf, bool writable) {
  const auto use = TRY(opened());
  auto* imported = dynamic_cast<ImportedBuffer*>(use.buffer().get());
  if (imported == nullptr)
    return fail(EINVAL, "a dma-buf is imported below heaps/import, not below heaps/" + heap_->name());
  auto addresses = TRY(context_.shares.take_addresses(maker_, size_if_dmabuf(dmabuf.get())));
  TRY(imported->take(std::move(dmabuf)));
  const std::lock_guard lock(mutex_);
  addresses_ = std::move(addresses);
  attributes_.mode = S_IFREG | (writable ? 0600 : 0400);
  attributes_.touch();
  return {};
}

void BufferFile::closed() {
  std::shared_ptr<Buffer> idle;
  {
    const std::lock_guard lock(mutex_);
    if (--open_ > 0) return;
    idle = buffer_;
  }
  idle->idle();
  keep(/*again=*/false);
  const BufferInfo about = idle->info();
  if (about.size > 0 || about.capacity > 0) {
    const std::lock_guard lock(mutex_);
    had_bytes_ = true;
    return;
  }
  idle.reset();
  drop_empty_buffer();
}

/// A mapping by passthrough outlives the close(2) of what it was made by, so the daemon never hears of its
/// end; where it is of the memfd itself that has to stay the file. (A dma-buf that was mapped is not let go.)
bool BufferFile::may_be_mapped() const {
  return context_.passthrough.enabled() && !heap_->is_dmabuf() && had_bytes_;
}

Attributes BufferFile::attributes_now() const {
  Attributes now = attributes_;
  struct stat own {};
  if (const int keeper = buffer_ ? time_keeper(*buffer_) : -1; keeper >= 0 && ::fstat(keeper, &own) == 0) {
    now.atime = own.st_atim;
    now.mtime = own.st_mtim;
    if (later(own.st_ctim, keeper_made_) && later(own.st_ctim, now.ctime)) now.ctime = own.st_ctim;
  }
  return now;
}

void BufferFile::drop_empty_buffer() {
  std::shared_ptr<Buffer> dropped;  // goes when the lock is free again
  const std::lock_guard lock(mutex_);
  // Its times are the file's from here on. Who opened it meanwhile goes on using it.
  const BufferInfo about = buffer_ ? buffer_->info() : BufferInfo{};
  if (!buffer_ || open_ > 0 || about.size > 0 || about.capacity > 0 || may_be_mapped()) return;
  attributes_ = attributes_now();
  dropped = std::move(buffer_);
  buffer_ = nullptr;
  descriptors_ = nullptr;
  leaving_.reset();
}

Result<struct stat> BufferFile::getattr(const Caller&, OpenFile*) {
  const auto held = buffer();
  const BufferInfo info = held ? held->info() : BufferInfo{};
  const std::lock_guard lock(mutex_);
  struct stat st = attributes_now().to_stat(ino(), linked_ ? 1 : 0);
  st.st_size = static_cast<off_t>(info.size);
  st.st_blocks = static_cast<blkcnt_t>(info.capacity / 512);
  return st;
}

Result<void> BufferFile::setattr(const Caller&, const AttributeChange& change, OpenFile*) {
  const auto held = buffer();
  if (change.size && *change.size == 0) forget_guess();
  if (change.size && (held || *change.size > 0)) {
    const auto used = TRY(opened());
    if (*change.size == 0) {
      const std::lock_guard one_at_a_time(keeping_);
      const std::lock_guard lock(mutex_);
      forget_memory();  // first, so that it may be recycled
    }
    TRY(used.buffer()->resize(*change.size));
    contents_changed();
    keep();
  } else if (change.size) {
    contents_changed();
  }
  const std::lock_guard lock(mutex_);
  attributes_.apply(change, kKeptBits);
  const int keeper = buffer_ ? time_keeper(*buffer_) : -1;
  if (keeper >= 0 && (change.atime || change.mtime)) {
    constexpr struct timespec omit { 0, UTIME_OMIT };
    const struct timespec times[2] = {change.atime ? attributes_.atime : omit,
                                      change.mtime ? attributes_.mtime : omit};
    if (::futimens(keeper, times) != 0) return fail_errno(errno, name_);
  }
  record();
  return {};
}

Result<OpenPtr> BufferFile::open(const Caller& caller, int flags) {
  auto use = TRY(opened());
  if ((flags & O_ACCMODE) != O_RDONLY) use.buffer()->opened_to_write();
  return OpenPtr(std::make_shared<OpenBuffer>(std::move(use), flags, caller.uid));
}

void BufferFile::closing() {
  const std::lock_guard lock(mutex_);
  if (leaving_) leaving_->renew();
}

void BufferFile::contents_changed() {
  const std::lock_guard lock(mutex_);
  if (buffer_) buffer_->touch();
  had_bytes_ = true;
  attributes_.touch();
}

Result<std::string> BufferFile::getxattr(const Caller&, const std::string& name) {
  const std::lock_guard lock(mutex_);
  return xattrs_.get(name);
}

Result<std::vector<std::string>> BufferFile::listxattr(const Caller&) {
  const std::lock_guard lock(mutex_);
  return xattrs_.names();
}

Result<void> BufferFile::setxattr(const Caller&, const std::string& name, const std::string& value,
                                  int flags) {
  const std::lock_guard lock(mutex_);
  TRY(xattrs_.set(name, value, flags, share_));
  attributes_.touch_change();
  record();
  return {};
}

Result<void> BufferFile::removexattr(const Caller&, const std::string& name) {
  const std::lock_guard lock(mutex_);
  TRY(xattrs_.remove(name, share_));
  attributes_.touch_change();
  record();
  return {};
}

std::optional<KnownPicture> BufferFile::said_picture() const {
  const std::lock_guard lock(mutex_);
  const auto value = xattrs_.get(kPictureAttribute);
  if (!value) return std::nullopt;
  const auto known = from_attribute(*value);
  return known ? std::optional(*known) : std::nullopt;
}

std::optional<KnownPicture> BufferFile::picture() const {
  if (auto said = said_picture()) return said;
  const uint64_t size = info().size;
  std::string name;
  {
    const std::lock_guard lock(mutex_);
    name = name_;
  }
  return guess_from(name, size);
}

Result<void> BufferFile::set_picture(const std::optional<KnownPicture>& known) {
  if (known) return setxattr({}, kPictureAttribute, to_attribute(*known), 0);
  const auto removed = removexattr({}, kPictureAttribute);
  return removed || removed.error().code == ENODATA ? Result<void>{} : removed;
}

void BufferFile::forget_guess() {
  const auto said = said_picture();
  if (said && said->guessed) (void)set_picture(std::nullopt);
}

void BufferFile::copied_from(const std::optional<KnownPicture>& known) {
  const auto said = said_picture();
  if (said && !said->guessed) return;
  // Without room for the attribute there is none; the bytes are there.
  if (known || said) (void)set_picture(known);
}

Result<void> BufferFile::create_picture(const image::PictureWords& words) {
  if (info().size > 0) return fail(EEXIST, "a picture is made in an empty file; this one has bytes");
  image::PictureWords all = words;
  const auto about = TRY(image::make_picture(words, image::Padding::Gpu));
  if (words.stride.empty()) all.stride = TRY(strides_for(about, *heap_));
  const auto picture = TRY(image::make_picture(all, image::Padding::Gpu));
  const auto use = TRY(opened());
  use.buffer()->set_row_bytes(picture.planes[0].stride);
  TRY(set_picture(KnownPicture{picture, false}));
  AttributeChange change;
  change.size = picture.padded_end();
  auto made = setattr({}, change, nullptr);
  if (!made) (void)set_picture(std::nullopt);
  return made;
}

}  // namespace dmabuffs
