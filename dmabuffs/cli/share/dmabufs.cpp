// SPDX-License-Identifier: MIT
#include "dmabuffs/cli/share/dmabufs.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <memory>

#include "dmabuffs/base/fdinfo.h"
#include "dmabuffs/base/read_file.h"

namespace dmabuffs::cli {

namespace {

/// The name of every open dma-buf's inode begins so (drivers/dma-buf/dma-buf.c, dmabuffs_dname).
constexpr std::string_view kLink = "/dmabuf:";

template <class Number>
std::optional<Number> number(std::string_view text) {
  Number value{};
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (problem != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

/// Calls `each` with the name of every entry that is a number. False: the directory can't be read.
template <class Each>
bool each_number(const std::string& directory, Each&& each) {
  const std::unique_ptr<DIR, int (*)(DIR*)> entries(::opendir(directory.c_str()), &::closedir);
  if (!entries) return false;
  while (const dirent* entry = ::readdir(entries.get()))
    if (const auto name = number<int>(entry->d_name)) each(*name);
  return true;
}

class Process {
 public:
  Process(DmabufList& list, pid_t pid, const std::string& proc)
      : list_(list), pid_(pid), directory_(proc + "/" + std::to_string(pid)) {}

  void look() {
    if (!each_number(directory_ + "/fd", [this](int fd) { descriptor(fd); })) {
      if (errno == EACCES) ++list_.hidden;
      return;
    }
    mappings();
  }

 private:
  DmabufHolder& holder_of(uint64_t inode) {
    auto& holders = list_.by_inode[inode].holders;
    if (holders.empty() || holders.back().pid != pid_) {
      std::string command = read_file(directory_ + "/comm").value_or("?\n");
      if (command.ends_with('\n')) command.pop_back();
      holders.push_back({pid_, std::move(command), {}, 0});
    }
    return holders.back();
  }

  void descriptor(int fd) {
    std::array<char, kLink.size()> link;
    const std::string name = std::to_string(fd);
    const ssize_t length = ::readlink((directory_ + "/fd/" + name).c_str(), link.data(), link.size());
    if (length < static_cast<ssize_t>(kLink.size()) || std::string_view(link.data(), link.size()) != kLink)
      return;
    auto values = read_fdinfo(directory_ + "/fdinfo/" + name);
    const auto inode = number<uint64_t>(values["ino"]);
    if (!inode || !values.contains("exp_name")) return;
    holder_of(*inode).descriptors.push_back(fd);
    Dmabuf& dmabuf = list_.by_inode[*inode];
    dmabuf.size = number<uint64_t>(values["size"]).value_or(0);
    dmabuf.exporter = values["exp_name"];
    dmabuf.name = values["name"];
  }

  /// proc_pid_maps(5): ADDRESSES PERMISSIONS OFFSET DEVICE INODE PATH.
  void mappings() {
    const std::string maps = read_file(directory_ + "/maps").value_or("");
    for (size_t at = maps.find(kLink); at != std::string::npos; at = maps.find(kLink, at + 1)) {
      const size_t line = maps.rfind('\n', at) + 1;
      const size_t end = maps.find_last_not_of(' ', at - 1) + 1;
      const size_t begin = maps.rfind(' ', end - 1) + 1;
      if (maps.find('/', line) != at) continue;  // in another path
      const auto inode = number<uint64_t>(std::string_view(maps).substr(begin, end - begin));
      if (inode) ++holder_of(*inode).mappings;
    }
  }

  DmabufList& list_;
  const pid_t pid_;
  const std::string directory_;
};

}  // namespace

DmabufList find_dmabufs(std::optional<pid_t> only, const std::string& proc) {
  DmabufList list;
  if (only)
    Process(list, *only, proc).look();
  else
    each_number(proc, [&](int pid) { Process(list, pid, proc).look(); });
  for (auto& [inode, dmabuf] : list.by_inode) std::ranges::sort(dmabuf.holders, {}, &DmabufHolder::pid);
  return list;
}

Json to_json(uint64_t inode, const Dmabuf& dmabuf) {
  Json holders = Json::array();
  for (const DmabufHolder& holder : dmabuf.holders)
    holders.push_back({{"pid", holder.pid},
                       {"command", holder.command},
                       {"descriptors", holder.descriptors},
                       {"mappings", holder.mappings}});
  return {{"inode", inode},
          {"size", dmabuf.size},
          {"exporter", dmabuf.exporter},
          {"name", dmabuf.name},
          {"path", dmabuf.path.empty() ? Json() : Json(dmabuf.path)},
          {"holders", std::move(holders)}};
}

}  // namespace dmabuffs::cli
