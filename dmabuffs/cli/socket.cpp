// SPDX-License-Identifier: MIT
/// `dmabuffs socket MOUNTPOINT`: prints the path of the mount's control socket.
#include <cstdio>

#include "dmabuffs/cli/client.h"
#include "dmabuffs/cli/commands.h"

namespace dmabuffs::cli {

namespace {

int run_socket(const std::string& path) {
  const auto mount = mount_of(path);
  if (!mount) return report(mount.error().message);
  const auto socket = socket_of(*mount);
  if (!socket) return report(socket.error().message);
  std::printf("%s\n", socket->c_str());
  return 0;
}

}  // namespace

void add_socket(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("socket", "Print the path of a mount's control socket");
  const auto path = std::make_shared<std::string>();
  command->add_option("MOUNTPOINT", *path, "The mount point, or any path in the mount")->required();
  command->callback([&action, path] { action = [path] { return run_socket(*path); }; });
}

}  // namespace dmabuffs::cli
