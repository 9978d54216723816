// SPDX-License-Identifier: MIT
#include "dmabuffs/base/kernel_number.h"

#include <fcntl.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <cstdio>
#include <mutex>
#include <string_view>
#include <utility>

#include "dmabuffs/base/unique_fd.h"

namespace dmabuffs {
namespace {

std::optional<uint64_t> number_in(std::string_view text) {
  uint64_t value = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
  if (parsed.ec != std::errc()) return {};
  return value;
}

}  // namespace

struct KernelNumber::File {
  const std::string path;
  std::mutex mutex;
  UniqueFd fd;
};

KernelNumber::KernelNumber(std::string path) : file_(new File{std::move(path), {}, {}}) {}

const std::string& KernelNumber::path() const {
  return file_->path;
}

std::optional<uint64_t> KernelNumber::read() const {
  std::array<char, 32> text{};
  const std::lock_guard lock(file_->mutex);
  // Open and dead: of a module that was unloaded, and perhaps loaded again.
  for (const bool afresh : {!file_->fd, true}) {
    if (afresh) file_->fd.reset(::open(file_->path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file_->fd) return {};
    const ssize_t got = ::pread(file_->fd.get(), text.data(), text.size(), 0);
    if (got > 0) return number_in({text.data(), static_cast<size_t>(got)});
  }
  return {};
}

bool kernel_since(int major, int minor, const std::string& release) {
  utsname system{};
  ::uname(&system);
  int has_major = 0, has_minor = 0;
  std::sscanf(release.empty() ? system.release : release.c_str(), "%d.%d", &has_major, &has_minor);
  return has_major > major || (has_major == major && has_minor >= minor);
}

}  // namespace dmabuffs
