// SPDX-License-Identifier: MIT
/// The command line mount(8) uses for helpers (mount(8), "External helpers"), turned into that of `dmabuffs
/// mount`.
#include <algorithm>
#include <array>
#include <string_view>

#include "dmabuffs/cli/commands.h"

namespace dmabuffs::cli {
namespace {

constexpr std::array<std::string_view, 18> kCommands = {
    "mount", "umount", "unmount", "cp",     "exec",   "import", "info",  "ps",     "view",
    "diff",  "hex",    "create",  "format", "status", "socket", "bench", "doctor", "help"};

/// For mount(8), systemd or fstab's readers; a file system has no use for them.
bool is_for_others(std::string_view option) {
  constexpr std::array<std::string_view, 12> names = {"defaults", "rw",     "auto",    "noauto",
                                                      "user",     "nouser", "users",   "owner",
                                                      "group",    "nofail", "_netdev", "comment"};
  const std::string_view name = option.substr(0, option.find('='));
  return name.empty() || name.starts_with("x-") || name.starts_with("X-") ||
         std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

bool is_mount_helper(int argc, char** argv) {
  if (argc < 1) return false;
  const std::string_view path = argv[0];
  if (path.substr(path.rfind('/') + 1).starts_with("mount.")) return true;
  return argc >= 4 && argv[1][0] != '-' && argv[2][0] != '-' && std::string_view(argv[3]).starts_with("-o") &&
         std::find(kCommands.begin(), kCommands.end(), argv[1]) == kCommands.end();
}

std::string mount_helper_help() {
  return "Mount dma-bufs as files, for mount(8): mount -t dmabuffs [-o OPTIONS] SOURCE DIR\n"
         "Usage: mount.dmabuffs SOURCE DIR [-sfnv] [-o OPTIONS]\n\n"
         "SOURCE is free text, the name in /proc/mounts. -f mounts nothing (a rehearsal); -s, -n and -v "
         "change nothing.\n"
         "`dmabuffs mount --help` lists the OPTIONS; see also mount.dmabuffs(8).\n";
}

std::vector<std::string> from_mount_helper(int argc, char** argv) {
  const std::vector<std::string> words(argv + std::min(argc, 1), argv + argc);
  std::vector<std::string> operands, unknown;
  std::string options;
  for (size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (word == "-f") return {};
    if (word == "-n" || word == "-s" || word == "-v") continue;
    if (word == "-t") {  // the type: this program serves but one
      ++i;
    } else if (word == "-o") {
      if (++i < words.size()) options += "," + words[i];
    } else if (word.starts_with("-o")) {
      options += "," + word.substr(2);
    } else if (word.starts_with("-")) {
      unknown.push_back(word);  // `mount` will refuse it by name
    } else {
      operands.push_back(word);
    }
  }

  std::vector<std::string> result = {"mount"};
  std::string passed;
  if (!operands.empty() && !operands.front().empty()) passed = "fsname=" + escaped(operands.front());
  if (const auto split = split_options(options)) {
    for (const std::string& option : *split)
      if (!is_for_others(option)) passed += (passed.empty() ? "" : ",") + escaped(option);
  } else {
    passed = options;  // which `mount` will refuse
  }
  if (!passed.empty()) result.insert(result.end(), {"-o", passed});
  result.insert(result.end(), unknown.begin(), unknown.end());
  if (!operands.empty()) result.insert(result.end(), operands.begin() + 1, operands.end());
  return result;
}

}  // namespace dmabuffs::cli
