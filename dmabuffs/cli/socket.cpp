// SPDX-License-Identifier: MIT
/// `dmabuffs socket MOUNTPOINT`: prints the path of the mount's control socket.
#include <cstdio>

#include "dmabuffs/cli/commands.h"
#include "dmabuffs/control/client.h"

namespace dmabuffs::cli {

int run_socket(const std::string& path) {
  const auto mount = mount_of(path);
  if (!mount) return report(mount.error().message);
  const auto client = ControlClient::connect(*mount);
  if (!client) return report(client.error().message);
  std::printf("%s\n", client->path().c_str());
  return 0;
}

}  // namespace dmabuffs::cli
