// SPDX-License-Identifier: MIT
#include "dmabuffs/base/mount_types.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <sstream>

namespace dmabuffs {

std::string MountTypes::type_of(uint64_t mount_id) {
  const std::lock_guard lock(mutex_);
  if (changed()) read_table();
  const auto found = types_.find(mount_id);
  return found == types_.end() ? std::string() : found->second;
}

/// The kernel reports a change of the table since it was polled last as POLLPRI; numbers of mounts are used
/// again, so what was read before then says nothing.
bool MountTypes::changed() {
  if (!table_) {
    table_.reset(::open("/proc/thread-self/mountinfo", O_RDONLY | O_CLOEXEC));
    return true;
  }
  pollfd polled{table_.get(), POLLPRI, 0};
  return ::poll(&polled, 1, 0) != 0;
}

void MountTypes::read_table() {
  types_.clear();
  std::string text;
  std::array<char, 16384> part;
  ssize_t got = 0;
  off_t at = 0;
  while ((got = ::pread(table_.get(), part.data(), part.size(), at)) > 0) {
    text.append(part.data(), static_cast<size_t>(got));
    at += got;
  }
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    uint64_t id = 0;
    std::string word, type;
    if (!(words >> id)) continue;
    while (words >> word && word != "-") continue;  // options and any number of optional fields
    if (words >> type) types_[id] = type;
  }
}

bool is_fuse(const std::string& type) {
  return type == "fuse" || type == "fuseblk" || type.starts_with("fuse.");
}

}  // namespace dmabuffs
