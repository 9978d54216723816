// SPDX-License-Identifier: MIT
#include "dmabuffs/base/kernel_module.h"

#include <fcntl.h>
#include <sys/ioctl.h>

#include <cstring>
#include <utility>

#include "kernel/dmabuf_file.h"

namespace dmabuffs {

KernelModule::KernelModule(std::string device) : path_(std::move(device)) {
  ask();
}

uint64_t KernelModule::features() const {
  constexpr std::chrono::seconds kPatience{1};
  if (const uint64_t known = features_) return known;
  const std::lock_guard lock(mutex_);
  if (features_ == 0 && std::chrono::steady_clock::now() - asked_ > kPatience) ask();
  return features_;
}

std::string KernelModule::why_not() const {
  if (can_transfer()) return {};
  const std::lock_guard lock(mutex_);
  return why_not_;
}

bool KernelModule::is_unfit() const {
  if (can_transfer()) return false;
  const std::lock_guard lock(mutex_);
  return unfit_;
}

void KernelModule::ask() const {
  asked_ = std::chrono::steady_clock::now();
  why_not_.clear();
  unfit_ = false;
  UniqueFd device(::open(path_.c_str(), O_RDWR | O_CLOEXEC));
  if (!device) {
    const int code = errno;
    if (code == ENOENT || code == ENXIO || code == ENODEV)
      why_not_ = "the kernel module dmabuf_file is not loaded";
    else if (code == EACCES || code == EPERM)
      why_not_ = path_ + " may not be opened by this user";
    else
      why_not_ = path_ + ": " + std::strerror(code);
    return;
  }
  dmabuf_file_query query{};
  query.size = sizeof query;
  if (::ioctl(device.get(), DMABUF_FILE_QUERY, &query) != 0) query.version = 0;
  unfit_ = query.version != DMABUF_FILE_VERSION || (query.features & DMABUF_FILE_HAS_TRANSFER) == 0;
  if (unfit_) {
    why_not_ = "the kernel module dmabuf_file that is loaded is of another version (its interface is " +
               (query.version > 0 ? std::to_string(query.version) : "unknown") + ", and not " +
               std::to_string(DMABUF_FILE_VERSION) +
               "): build and load the one that came with this program (docs/kernel.md)";
    return;
  }
  static_assert(kTransfer == DMABUF_FILE_HAS_TRANSFER && kAllocate == DMABUF_FILE_HAS_ALLOC);
  static_assert(kLoad == DMABUF_FILE_HAS_LOAD && kOpen == DMABUF_FILE_HAS_OPEN);
  static_assert(kRoom == DMABUF_FILE_HAS_ROOM);
  device_ = std::move(device);
  features_ = query.features;
}

Result<UniqueFd> KernelModule::allocate(uint64_t bytes) const {
  dmabuf_file_alloc request{};
  request.size = sizeof request;
  request.fd_flags = O_RDWR | O_CLOEXEC;
  request.length = bytes;
  while (::ioctl(device_.get(), DMABUF_FILE_ALLOC, &request) != 0)
    if (errno != EINTR) return fail_errno(errno, "a dma-buf of the kernel module");
  return UniqueFd(request.dmabuf_fd);
}

Result<KernelModule::Loaded> KernelModule::load(int file, uint64_t offset, uint64_t length) const {
  const dmabuf_file_segment segment{0, offset, length};
  dmabuf_file_load request{};
  request.size = sizeof request;
  request.fd_flags = O_RDWR | O_CLOEXEC;
  request.length = length;
  request.flags = DMABUF_FILE_REQUIRE_DIRECT | DMABUF_FILE_INTERRUPTIBLE;
  request.file_fd = file;
  request.segments = reinterpret_cast<uintptr_t>(&segment);
  request.segment_count = 1;
  if (::ioctl(device_.get(), DMABUF_FILE_LOAD, &request) != 0) return fail_errno(errno, "loading a file");
  const bool direct = (request.how & DMABUF_FILE_HOW_BUFFERED) == 0;
  return Loaded{UniqueFd(request.dmabuf_fd), request.bytes, direct};
}

bool KernelModule::can_show(const std::string& exporter, const std::function<Result<int>()>& sample) const {
  {
    const std::lock_guard lock(mutex_);
    if (const auto known = shows_.find(exporter); known != shows_.end()) return known->second;
  }
  const auto dmabuf = sample();  // may wait for memory
  if (!dmabuf) return false;
  const auto file = open_file();
  const auto bound = file ? bind_file(file->get(), *dmabuf, 0) : Result<void>(Failure(file.error()));
  if (!bound && bound.error().code != EOPNOTSUPP) return false;
  const std::lock_guard lock(mutex_);
  return shows_[exporter] = bound.has_value();
}

Result<UniqueFd> KernelModule::open_file(uint64_t room) const {
  dmabuf_file_open request{};
  request.size = sizeof request;
  request.fd_flags = O_RDWR | O_CLOEXEC;
  request.dmabuf_fd = -1;
  request.room = room;
  if (::ioctl(device_.get(), DMABUF_FILE_OPEN, &request) != 0)
    return fail_errno(errno, "a file of the kernel module");
  return UniqueFd(request.file_fd);
}

Result<void> KernelModule::bind_file(int file, int dmabuf, uint64_t length) const {
  dmabuf_file_bind request{};
  request.size = sizeof request;
  request.flags = DMABUF_FILE_BIND_REPLACE;
  request.file_fd = file;
  request.dmabuf_fd = dmabuf;
  request.length = length;
  while (::ioctl(device_.get(), DMABUF_FILE_BIND, &request) != 0)
    if (errno != EINTR) return fail_errno(errno, "binding a dma-buf to a file");
  return {};
}

Result<uint64_t> KernelModule::bind_keeping(int file, int dmabuf, uint64_t length, Shown shown,
                                            bool filled) const {
  dmabuf_file_bind request{};
  request.size = sizeof request;
  request.flags = DMABUF_FILE_BIND_KEEP;
  if (shown == Shown::Hidden) request.flags |= DMABUF_FILE_BIND_HIDDEN;
  if (shown == Shown::Full) request.flags |= DMABUF_FILE_BIND_FULL;
  if (filled) request.flags |= DMABUF_FILE_BIND_FILLED;
  request.file_fd = file;
  request.dmabuf_fd = dmabuf;
  request.length = length;
  while (::ioctl(device_.get(), DMABUF_FILE_BIND, &request) != 0) {
    if (errno != EINTR) return fail_errno(errno, "binding a dma-buf to a file");
    request.length = length;
  }
  return request.length;
}

KernelModule::Transferred KernelModule::read_file(const Range& range) const {
  return transfer(range, DMABUF_FILE_REQUIRE_DIRECT);
}

KernelModule::Transferred KernelModule::write_file(const Range& range) const {
  return transfer(range, DMABUF_FILE_REQUIRE_DIRECT | DMABUF_FILE_TO_FILE);
}

KernelModule::Transferred KernelModule::transfer(const Range& range, uint32_t flags) const {
  const dmabuf_file_segment segment{range.dmabuf_offset, range.file_offset, range.length};
  dmabuf_file_transfer request{};
  request.size = sizeof request;
  request.flags = flags;
  request.dmabuf_fd = range.dmabuf;
  request.file_fd = range.file;
  request.segments = reinterpret_cast<uintptr_t>(&segment);
  request.segment_count = 1;
  const int error = ::ioctl(device_.get(), DMABUF_FILE_TRANSFER, &request) == 0 ? 0 : errno;
  return {request.bytes, (request.how & DMABUF_FILE_HOW_BUFFERED) == 0, error};
}

}  // namespace dmabuffs
