// SPDX-License-Identifier: MIT
#include "dmabuffs/base/mount_table.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <sstream>

#include "dmabuffs/base/read_file.h"

namespace dmabuffs {
namespace {

std::string current_directory() {
  const std::unique_ptr<char, decltype(&std::free)> path(::getcwd(nullptr, 0), &std::free);
  return path ? path.get() : "";
}

/// A path as the table has it (space, tab, newline and backslash as \ooo) in plain text.
std::string unescape(const std::string& text) {
  std::string plain;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size()) {
      plain += static_cast<char>(std::stoi(text.substr(i + 1, 3), nullptr, 8));
      i += 3;
    } else {
      plain += text[i];
    }
  }
  return plain;
}

/// The user_id= among the options of a file system; 0: there is none.
uid_t owner_in(const std::string& options) {
  constexpr const char* kKey = ",user_id=";
  const size_t at = ("," + options).find(kKey);
  if (at == std::string::npos) return 0;
  return static_cast<uid_t>(std::strtoul(&options[at + std::strlen(kKey) - 1], nullptr, 10));
}

}  // namespace

std::vector<MountEntry> parse_mount_table(const std::string& mountinfo) {
  std::vector<MountEntry> table;
  std::istringstream lines(mountinfo);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    MountEntry entry;
    std::string device, word;
    if (!(words >> entry.id >> entry.parent >> device >> entry.root >> entry.path)) continue;
    while (words >> word && word != "-") continue;  // options and any number of optional fields
    unsigned major = 0, minor = 0;
    if (!(words >> entry.type) || std::sscanf(device.c_str(), "%u:%u", &major, &minor) != 2) continue;
    if (words >> entry.source >> entry.options) entry.owner = owner_in(entry.options);
    entry.device = makedev(major, minor);
    entry.root = unescape(entry.root);
    entry.path = unescape(entry.path);
    entry.source = unescape(entry.source);
    table.push_back(std::move(entry));
  }
  return table;
}

Result<std::vector<MountEntry>> read_mount_table() {
  return parse_mount_table(TRY(read_file("/proc/self/mountinfo")));
}

const MountEntry* mounted_at(const std::vector<MountEntry>& table, const std::string& path) {
  for (const MountEntry& entry : table) {
    const auto covers = [&](const MountEntry& other) {
      return other.parent == entry.id && other.path == path;
    };
    if (entry.path == path && std::none_of(table.begin(), table.end(), covers)) return &entry;
  }
  return nullptr;
}

Result<std::string> resolve_mountpoint(const std::string& path) {
  if (path.empty()) return fail(ENOENT, "'': No such file or directory");  // not the directory we are in
  std::string trimmed = path;
  while (trimmed.size() > 1 && trimmed.back() == '/') trimmed.pop_back();
  const size_t slash = trimmed.rfind('/');
  const std::string name = slash == std::string::npos ? trimmed : trimmed.substr(slash + 1);
  if (name == ".") {
    if (slash != std::string::npos) return resolve_mountpoint(trimmed.substr(0, slash + 1));
    std::string here = current_directory();
    if (here.empty())
      return fail(ENOENT, path + ": the directory you are in was removed or unmounted; cd to another");
    return here;
  }
  std::string parent = slash == std::string::npos ? "." : trimmed.substr(0, slash + 1);
  if (name == "..") parent += "/..";
  const std::unique_ptr<char, decltype(&std::free)> resolved(::realpath(parent.c_str(), nullptr), &std::free);
  if (!resolved) return fail_errno(errno, path);
  std::string result = resolved.get();
  if (name.empty() || name == "..") return result;
  if (result != "/") result += '/';
  return result + name;
}

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
  for (const MountEntry& entry : parse_mount_table(text))
    types_[static_cast<uint64_t>(entry.id)] = entry.type;
}

bool is_fuse(const std::string& type) {
  return type == "fuse" || type == "fuseblk" || type.starts_with("fuse.");
}

}  // namespace dmabuffs
