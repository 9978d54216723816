// SPDX-License-Identifier: MIT
#include "dmabuffs/base/mount_table.h"

#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <sstream>

namespace dmabuffs {
namespace {

std::string current_directory() {
  const std::unique_ptr<char, decltype(&std::free)> path(::getcwd(nullptr, 0), &std::free);
  return path ? path.get() : "";
}

}  // namespace

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

uid_t owner_in(const std::string& options) {
  constexpr std::string_view kKey = "user_id=";
  std::istringstream words(options);
  for (std::string word; std::getline(words, word, ',');)
    if (word.rfind(kKey, 0) == 0)
      return static_cast<uid_t>(std::strtoul(word.c_str() + kKey.size(), nullptr, 10));
  return 0;
}

std::vector<MountEntry> parse_mount_table(const std::string& mountinfo) {
  std::vector<MountEntry> table;
  std::istringstream lines(mountinfo);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    MountEntry entry;
    std::string device, root, path, word;
    if (!(words >> entry.id >> entry.parent >> device >> root >> path)) continue;
    while (words >> word && word != "-") continue;  // options and any number of optional fields
    unsigned major = 0, minor = 0;
    if (!(words >> entry.type) || std::sscanf(device.c_str(), "%u:%u", &major, &minor) != 2) continue;
    if (words >> word >> word) entry.owner = owner_in(word);  // behind the source
    entry.device = makedev(major, minor);
    entry.path = unescape(path);
    table.push_back(std::move(entry));
  }
  return table;
}

Result<std::vector<MountEntry>> read_mount_table() {
  constexpr const char* kFile = "/proc/self/mountinfo";
  std::ifstream file(kFile);
  if (!file) return fail_errno(errno, kFile);
  std::ostringstream text;
  text << file.rdbuf();
  return parse_mount_table(text.str());
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
  if (name == ".")
    return slash == std::string::npos ? current_directory()
                                      : resolve_mountpoint(trimmed.substr(0, slash + 1));
  std::string parent = slash == std::string::npos ? "." : trimmed.substr(0, slash + 1);
  if (name == "..") parent += "/..";
  const std::unique_ptr<char, decltype(&std::free)> resolved(::realpath(parent.c_str(), nullptr), &std::free);
  if (!resolved) return fail_errno(errno, path);
  std::string result = resolved.get();
  if (name.empty() || name == "..") return result;
  if (result != "/") result += '/';
  return result + name;
}

}  // namespace dmabuffs
