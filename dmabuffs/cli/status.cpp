// SPDX-License-Identifier: MIT
/// `dmabuffs status MOUNTPOINT`: what the mount holds and how its transfers ran.
#include <cstdio>
#include <fstream>
#include <sstream>

#include "dmabuffs/cli/commands.h"
#include "dmabuffs/cli/format.h"
#include "dmabuffs/control/client.h"

namespace dmabuffs::cli {

namespace {

using Rows = std::vector<std::vector<std::string>>;

std::string text(const Json& object, const char* key) {
  return escape_name(text_of(object, key).value_or("-"));
}
uint64_t number(const Json& object, const char* key) {
  return number_of(object, key).value_or(0);
}
std::string bytes(const Json& object, const char* key) {
  return human_bytes(number(object, key));
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
  std::printf("memory: %s of %s used, %s of that kept for reuse\n", bytes(memory, "used").c_str(),
              bytes(memory, "limit").c_str(), bytes(memory, "recycled").c_str());
  if (flag_of(object_in(status, "settings"), "require_direct"))
    std::printf("transfers that can't go direct fail (--require-direct)\n");
}

void print_heaps(const Json& status) {
  Rows rows{{"HEAP", "KIND", "DMA-BUF", "BUFFERS", "HELD"}};
  for (const Json& heap : list_in(status, "heaps"))
    rows.push_back({text(heap, "name"), text(heap, "kind"), flag_of(heap, "is_dmabuf") ? "yes" : "no",
                    std::to_string(number(heap, "buffers")), bytes(heap, "bytes")});
  std::printf("\n%s", table(rows, {3, 4}).c_str());
}

void print_buffers(const Json& status) {
  Rows rows{{"BUFFER", "SIZE", "HELD"}};
  for (const Json& buffer : list_in(status, "buffers"))
    rows.push_back({text(buffer, "path"), bytes(buffer, "size"), bytes(buffer, "capacity")});
  if (rows.size() > 1) std::printf("\n%s", table(rows, {1, 2}).c_str());
}

void print_transfers(const Json& status) {
  Rows rows{{"PATH", "OPERATIONS", "BYTES"}};
  for (const auto& [path, tally] : object_in(status, "transfers").items())
    if (number(tally, "operations") > 0)
      rows.push_back({escape_name(path), std::to_string(number(tally, "operations")), bytes(tally, "bytes")});
  const Json& daemon = object_in(status, "through_daemon");
  rows.push_back({"read(2)", "", bytes(daemon, "read_bytes")});
  rows.push_back({"write(2)", "", bytes(daemon, "written_bytes")});
  rows.push_back({"passthrough", std::to_string(number(object_in(status, "passthrough"), "opens")) + " opens",
                  text(object_in(status, "passthrough"), "state") == "on" ? "not counted" : "off"});
  std::printf("\n%s", table(rows, {1, 2}).c_str());
  for (const Json& reason : list_in(status, "reasons"))
    std::printf("%s by %s: %s\n", bytes(reason, "bytes").c_str(), text(reason, "path").c_str(),
                text(reason, "why").c_str());
  for (const Json& refused : list_in(status, "refused"))
    std::printf("refused: %s (%s%s)\n", escape_controls(text_of(refused, "message").value_or("-")).c_str(),
                text(refused, "last").c_str(),
                number(refused, "times") > 1
                    ? (", " + std::to_string(number(refused, "times")) + " times").c_str()
                    : "");
}

}  // namespace

int run_status(const std::string& path, bool json) {
  if (auto answers = check_answers(path); !answers) return report(answers.error().message);
  const auto mount = mount_of(path);
  if (!mount) return report(mount.error().message);
  // The kernel may still know the mount's own attributes, which the daemon did not give just now.
  const auto client = ControlClient::connect(*mount);
  if (!client && client.error().code == ETIMEDOUT) return report(client.error().message);
  const std::string name = mount->path + "/status";
  std::ifstream file(name);
  if (!file) return report(path_error(errno, name).value().message);
  std::ostringstream content;
  content << file.rdbuf();
  const Json status = Json::parse(content.str(), nullptr, /*allow_exceptions=*/false);
  if (!status.is_object()) return report(name + ": not JSON");
  if (json) {
    std::fputs(content.str().c_str(), stdout);
    return 0;
  }
  print_heading(status);
  print_heaps(status);
  print_transfers(status);
  print_buffers(status);  // last: there may be thousands
  return 0;
}

}  // namespace dmabuffs::cli
