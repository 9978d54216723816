// SPDX-License-Identifier: MIT
/// `dmabuffs info FILE...`: what is known of buffers.
#include <fcntl.h>
#include <sys/stat.h>

#include <cstdio>
#include <map>

#include "dmabuffs/cli/commands.h"
#include "dmabuffs/cli/format.h"
#include "dmabuffs/control/client.h"

namespace dmabuffs::cli {

namespace {

using Clients = std::map<dev_t, ControlClient>;

/// The client of the mount; connected on first use.
Result<ControlClient*> client_of(Clients& clients, const MountPoint& mount) {
  const auto known = clients.find(mount.device);
  if (known != clients.end()) return &known->second;
  auto client = ControlClient::connect(mount);
  if (!client) return pass(std::move(client));
  return &clients.emplace(mount.device, std::move(*client)).first->second;
}

Result<Json> ask(Clients& clients, const std::string& path) {
  if (auto answers = check_answers(path); !answers) return Failure(answers.error());
  const auto mount = mount_of(path);
  if (!mount) return Failure(mount.error());
  auto client = client_of(clients, *mount);
  if (!client) return pass(std::move(client));
  UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file && errno == EACCES) file.reset(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!file) return path_error(errno, path);
  const auto ticket = ticket_of(file.get(), path);
  if (!ticket && ticket.error().code == ENOTTY)
    return fail(EINVAL, path + ": not a buffer: info is about files below heaps/");
  if (!ticket) return Failure(ticket.error());
  auto answer = (*client)->request({{"op", "info"}, {"file", {{"ticket", *ticket}}}}, {}, {});
  if (!answer) return fail(answer.error().code, path + ": " + answer.error().message);
  const Json& body = answer->body;
  if (!flag_of(body, "ok")) return fail(error_of(body).code, path + ": " + error_of(body).message);
  if (!body.contains("info") || !body["info"].is_object())
    return fail(EIO, path + ": the daemon told nothing");
  Json info = body["info"];
  info["path"] = path;
  return info;
}

std::string text(const Json& info, const char* key) {
  return escape_name(text_of(info, key).value_or("-"));
}

std::string bytes(const Json& info, const char* key) {
  const uint64_t value = number_of(info, key).value_or(0);
  return human_bytes(value) + (value < 1024 ? "" : " (" + std::to_string(value) + " bytes)");
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

}  // namespace dmabuffs::cli
