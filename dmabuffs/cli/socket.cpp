// SPDX-License-Identifier: MIT
/// `dmabuffs socket MOUNTPOINT`: prints the path of the mount's control socket.
#include <cstdio>

#include "dmabuffs/cli/client.h"
#include "dmabuffs/cli/commands.h"

namespace dmabuffs::cli {

int run_socket(const std::string& path) {
  const auto mount = mount_of(path);
  if (!mount) return report(mount.error().message);
  const auto socket = socket_of(*mount);
  if (!socket) return report(socket.error().message);
  std::printf("%s\n", socket->c_str());
  return 0;
}

}  // namespace dmabuffs::cli
