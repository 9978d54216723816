// SPDX-License-Identifier: MIT
/// `dmabuffs info FILE...`: what is known of buffers.
/// `dmabuffs status MOUNTPOINT`: what the mount holds and how its transfers ran.
/// `dmabuffs socket MOUNTPOINT`: prints the path of the mount's control socket.
#include <sys/stat.h>

#include <cstdio>

#include "dmabuffs/base/account.h"
#include "dmabuffs/base/read_file.h"
#include "dmabuffs/cli/commands.h"
#include "dmabuffs/cli/output.h"
#include "dmabuffs/control/client.h"
#include "dmabuffs/control/hand_out.h"
#include "dmabuffs/heap/message.h"

namespace dmabuffs::cli {

namespace {

Result<Json> ask(Clients& clients, const std::string& path) {
  auto info = TRY(info_of(clients, path));
  info["path"] = path;
  return info;
}

std::string text(const Json& info, const char* key) {
  return escape_name(text_of(info, key).value_or("-"));
}

std::string bytes(const Json& info, const char* key) {
  const uint64_t value = number_of(info, key).value_or(0);
  return size_text(value) + (value < 1024 ? "" : " (" + std::to_string(value) + " bytes)");
}

void print(const Json& info) {
  std::vector<std::vector<std::string>> rows{{text(info, "path"), ""}};
  rows.push_back({"  heap", text(info, "heap")});
  rows.push_back({"  size", bytes(info, "size")});
  rows.push_back({"  capacity", bytes(info, "capacity")});
  // Other exporters don't tell.
  if (text(info, "kind") == "udmabuf") rows.push_back({"  huge pages", bytes(info, "huge_bytes")});
  if (flag_of(info, "is_dmabuf")) {
    rows.push_back({"  dma-buf", "inode " + std::to_string(number_of(info, "inode").value_or(0)) +
                                     ", exporter " + text(info, "exporter") + ", name " +
                                     text(info, "name")});
  } else if (text(info, "kind") == "memfd") {
    rows.push_back({"  dma-buf", "no: the memfd heap holds ordinary memory, which devices can't be given"});
  } else {
    rows.push_back({"  dma-buf", "not yet: it is made when a writer closes, by truncate or by a copy"});
  }
  if (const auto format = info.find("format"); format != info.end() && format->is_object())
    rows.push_back({"  format", text(*format, "text") +
                                    (text_of(*format, "from") == "name" ? " (by the name of a file)" : "")});
  if (flag_of(info, "held_elsewhere"))
    rows.push_back({"  held", "by others, too: it stays this memory until they let go"});
  if (text(info, "kind") == "import") rows.push_back({"  charged", "to nobody: it is another's memory"});
  std::printf("%s\n", rows[0][0].c_str());
  rows.erase(rows.begin());
  std::fputs(table(rows, {}).c_str(), stdout);
}

}  // namespace

int run_info(const InfoOptions& options) {
  Clients clients;
  Json list = Json::array();
  int status = 0;
  for (const std::string& path : options.files) {
    auto info = ask(clients, path);
    if (!info) {
      status = report(info.error().message);
      continue;
    }
    if (options.json)
      list.push_back(std::move(*info));
    else
      print(*info);
  }
  if (options.json) std::printf("%s\n", to_text(list, 2).c_str());
  return status;
}

namespace {

using Rows = std::vector<std::vector<std::string>>;

uint64_t number(const Json& object, const char* key) {
  return number_of(object, key).value_or(0);
}
std::string rounded(const Json& object, const char* key) {
  return size_text(number(object, key));
}

/// The member if it has the wanted type, else an empty one: a daemon of another version may lack it.
const Json& list_in(const Json& object, const char* key) {
  static const Json none = Json::array();
  const auto found = object.find(key);
  return found != object.end() && found->is_array() ? *found : none;
}
const Json& object_in(const Json& object, const char* key) {
  static const Json none = Json::object();
  const auto found = object.find(key);
  return found != object.end() && found->is_object() ? *found : none;
}

void print_heading(const Json& status) {
  const Json& version = object_in(status, "version");
  const Json& memory = object_in(status, "memory");
  std::printf("%s: dmabuffs %s, libfuse %s, Linux %s, pid %llu\n", text(status, "mountpoint").c_str(),
              text(version, "dmabuffs").c_str(), text(version, "libfuse").c_str(),
              text(version, "kernel").c_str(), static_cast<unsigned long long>(number(status, "pid")));
  std::printf("memory: %s of %s used, %s of that kept for reuse\n", rounded(memory, "used").c_str(),
              rounded(memory, "limit").c_str(), rounded(memory, "recycled").c_str());
  if (number(memory, "held_elsewhere") > 0)
    std::printf("held elsewhere: %s of that, of buffers that were removed\n",
                rounded(memory, "held_elsewhere").c_str());
  if (number(memory, "imported") > 0)
    std::printf("imported: %s of others' memory, charged to nobody\n", rounded(memory, "imported").c_str());
  const Json& kept = object_in(status, "kept");
  if (number(kept, "limit") > 0)
    std::printf("stored by the service manager: %llu descriptors of %llu%s\n",
                static_cast<unsigned long long>(number(kept, "descriptors")),
                static_cast<unsigned long long>(number(kept, "limit")),
                number(kept, "refused") > 0 ? "; there was no room for some, see the log" : "");
  if (flag_of(object_in(status, "settings"), "require_direct"))
    std::printf("transfers that can't go direct fail (--require-direct)\n");
}

void print_heaps(const Json& status) {
  Rows rows{{"HEAP", "KIND", "DMA-BUF", "BUFFERS", "HELD"}};
  for (const Json& heap : list_in(status, "heaps"))
    rows.push_back({text(heap, "name"), text(heap, "kind"), flag_of(heap, "is_dmabuf") ? "yes" : "no",
                    std::to_string(number(heap, "buffers")), rounded(heap, "bytes")});
  std::printf("\n%s", table(rows, {3, 4}).c_str());
}

void print_buffers(const Json& status) {
  constexpr size_t kMost = 64, kFirst = 30;  // whole names are in the JSON
  Rows rows{{"BUFFER", "SIZE", "HELD"}};
  for (const Json& buffer : list_in(status, "buffers"))
    rows.push_back({shortened(text(buffer, "path"), kMost, kFirst), rounded(buffer, "size"),
                    rounded(buffer, "capacity")});
  if (rows.size() > 1) std::printf("\n%s", table(rows, {1, 2}).c_str());
}

void print_transfers(const Json& status) {
  Rows rows{{"PATH", "OPERATIONS", "BYTES"}};
  for (const auto& [path, tally] : object_in(status, "transfers").items())
    if (number(tally, "operations") > 0)
      rows.push_back(
          {escape_name(path), std::to_string(number(tally, "operations")), rounded(tally, "bytes")});
  const Json& daemon = object_in(status, "through_daemon");
  rows.push_back({"read(2)", "", rounded(daemon, "read_bytes")});
  rows.push_back({"write(2)", "", rounded(daemon, "written_bytes")});
  rows.push_back({"passthrough", std::to_string(number(object_in(status, "passthrough"), "opens")) + " opens",
                  text(object_in(status, "passthrough"), "state") == "on" ? "not counted" : "off"});
  std::printf("\n%s", table(rows, {1, 2}).c_str());
  for (const Json& reason : list_in(status, "reasons"))
    std::printf("%s by %s: %s\n", rounded(reason, "bytes").c_str(), text(reason, "path").c_str(),
                text(reason, "why").c_str());
  for (const Json& refused : list_in(status, "refused"))
    std::printf("refused: %s (%s%s)\n", escape_controls(text_of(refused, "message").value_or("-")).c_str(),
                text(refused, "last").c_str(),
                number(refused, "times") > 1
                    ? (", " + std::to_string(number(refused, "times")) + " times").c_str()
                    : "");
}

}  // namespace

namespace {

/// For who names none: where there are mounts, and whose.
std::string mounts_here() {
  const auto mounts = dmabuffs_mounts();
  std::string text;
  if (mounts)
    for (const MountEntry& mount : *mounts)
      if (mount.root == "/")
        text += (text.empty() ? "; there are " : ", ") + mount.path + " (" + user_name(mount.owner) + ")";
  return text.empty() ? "; there is no dmabuffs mount here, `dmabuffs mount` makes one" : text;
}

}  // namespace

int run_status(const std::string& path, bool json) {
  if (path.empty()) return misuse("status", "MOUNTPOINT is required" + mounts_here());
  const auto mount = mount_of(path);
  if (!mount) return report(mount.error().message);
  const std::string name = mount->path + "/status";
  const auto content = read_file(name);
  if (!content) return report(path_error(content.error().code, name).value().message);
  const Json status = Json::parse(*content, nullptr, /*allow_exceptions=*/false);
  if (!status.is_object()) return report(name + ": not JSON");
  if (json) {
    std::fputs(content->c_str(), stdout);
    return 0;
  }
  print_heading(status);
  print_heaps(status);
  print_transfers(status);
  print_buffers(status);  // last: there may be thousands
  return 0;
}

int run_socket(const std::string& path) {
  const auto mount = mount_of(path);
  if (!mount) return report(mount.error().message);
  const auto client = ControlClient::connect(*mount);
  if (!client) return report(client.error().message);
  std::printf("%s\n", client->path().c_str());
  return 0;
}

}  // namespace dmabuffs::cli
