// SPDX-License-Identifier: MIT
/// `dmabuffs ps`: the dma-bufs of the machine and who holds them.
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <memory>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>

#include "dmabuffs/base/read_file.h"
#include "dmabuffs/cli/commands.h"
#include "dmabuffs/cli/output.h"
#include "dmabuffs/cli/share/dmabufs.h"
#include "dmabuffs/control/client.h"
#include "dmabuffs/heap/message.h"

namespace dmabuffs::cli {

namespace {

constexpr std::chrono::seconds kPatience{3};  // for all mounts together

/// What the mounts have answered: the status of each, null of one that can't be asked.
struct Answers {
  explicit Answers(size_t mounts) : missing(mounts), status(mounts) {}
  std::mutex mutex;
  std::condition_variable complete;
  size_t missing;
  std::vector<std::optional<Json>> status;
};

Json ask(const MountEntry& mount) {
  if (!ControlClient::connect(mount)) return {};
  const auto text = read_file(mount.path + "/status");
  return Json::parse(text.value_or(""), nullptr, /*allow_exceptions=*/false);
}

/// The status of each mount, null of one that can't be asked. All are asked at once, so that one that is
/// stopped takes no time from the others; its thread is left behind. Those that don't answer are told of.
std::vector<Json> all_status(const std::vector<MountEntry>& mounts) {
  const auto answers = std::make_shared<Answers>(mounts.size());
  try {
    for (size_t i = 0; i < mounts.size(); ++i) {
      std::thread([answers, i, mount = mounts[i]] {
        Json status = ask(mount);
        const std::lock_guard lock(answers->mutex);
        answers->status[i] = std::move(status);
        if (--answers->missing == 0) answers->complete.notify_one();
      }).detach();
    }
  } catch (const std::system_error&) {
    // No more threads: the rest is told of below.
  }
  std::unique_lock lock(answers->mutex);
  answers->complete.wait_for(lock, kPatience, [&] { return answers->missing == 0; });
  std::vector<Json> all;
  for (size_t i = 0; i < mounts.size(); ++i) {
    if (!answers->status[i])
      report("ps: " + mounts[i].path + " does not answer: its buffers are not shown by their paths");
    all.push_back(answers->status[i].value_or(Json()));
  }
  return all;
}

/// Gives the dma-bufs that are buffers of a mount their paths. A mount that can't be asked is left out.
void name_ours(DmabufList& list, bool also_unseen) {
  const auto mounts = dmabuffs_mounts().value_or(std::vector<MountEntry>{});
  const auto told = all_status(mounts);
  for (size_t i = 0; i < mounts.size(); ++i) {
    const MountEntry& mount = mounts[i];
    const Json& status = told[i];
    if (!status.is_object() || !status.contains("buffers")) continue;
    for (const Json& buffer : status["buffers"]) {
      const auto inode = number_of(buffer, "inode");
      if (!inode || *inode == 0 || (!also_unseen && !list.by_inode.contains(*inode))) continue;
      Dmabuf& dmabuf = list.by_inode[*inode];
      dmabuf.path = mount.path + "/" + text_of(buffer, "path").value_or("");
      if (dmabuf.size == 0) dmabuf.size = number_of(buffer, "capacity").value_or(0);
    }
  }
}

/// "812 npu (fd 3, 2 mappings)".
std::string description(const DmabufHolder& holder) {
  std::string text = std::to_string(holder.pid) + " " + escape_name(holder.command) + " (";
  for (const int fd : holder.descriptors)
    text += (text.ends_with('(') ? "fd " : ", fd ") + std::to_string(fd);
  if (holder.mappings > 0)
    text += (text.ends_with('(') ? "" : ", ") + std::to_string(holder.mappings) +
            (holder.mappings == 1 ? " mapping" : " mappings");
  return text + ")";
}

void print(const DmabufList& list) {
  std::vector<std::vector<std::string>> rows{{"INODE", "SIZE", "EXPORTER", "NAME", "HELD BY"}};
  for (const auto& [inode, dmabuf] : list.by_inode) {
    const std::string& name = dmabuf.path.empty() ? dmabuf.name : dmabuf.path;
    std::vector<std::string> row{std::to_string(inode), size_text(dmabuf.size), escape_name(dmabuf.exporter),
                                 name.empty() ? "-" : escape_name(name), "nobody seen"};
    for (const DmabufHolder& holder : dmabuf.holders) {
      row.back() = description(holder);
      rows.push_back(row);
      row = {"", "", "", "", ""};
    }
    if (dmabuf.holders.empty()) rows.push_back(row);
  }
  std::fputs(table(rows, {0, 1}).c_str(), stdout);
}

}  // namespace

int run_ps(const PsOptions& options) {
  if (options.pid && ::access(("/proc/" + std::to_string(*options.pid)).c_str(), F_OK) != 0)
    return report("ps: there is no process " + std::to_string(*options.pid));
  DmabufList list = find_dmabufs(options.pid);
  name_ours(list, !options.pid);
  if (options.json) {
    Json all = Json::array();
    for (const auto& [inode, dmabuf] : list.by_inode) all.push_back(to_json(inode, dmabuf));
    std::puts(to_text(all, 2).c_str());
  } else {
    print(list);
    if (list.by_inode.empty() && list.hidden == 0)
      std::fputs("dmabuffs: ps: no dma-bufs; buffers of heaps/memfd are none\n", stderr);
  }
  if (options.pid && list.hidden > 0)
    return report("ps: process " + std::to_string(*options.pid) + " is another's: root may look into it");
  if (list.hidden > 0)
    std::fprintf(stderr, "dmabuffs: ps: %zu processes of others could not be looked into; run it as root\n",
                 list.hidden);
  return 0;
}

}  // namespace dmabuffs::cli
