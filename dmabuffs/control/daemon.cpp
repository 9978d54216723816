// SPDX-License-Identifier: MIT
#include "dmabuffs/control/daemon.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <optional>

#include "dmabuffs/control/address.h"
#include "dmabuffs/control/message.h"

namespace dmabuffs {

namespace {

constexpr int kAnswerPatienceMs = 1000;

/// The st_dev of the mount that the daemon behind this socket serves; nullopt: it does not say, since it
/// hangs.
std::optional<uint64_t> served_device(int socket) {
  if (!send_message(socket, {{"op", "hello"}}, {}, /*wait=*/false)) return std::nullopt;
  pollfd wait{socket, POLLIN, 0};
  if (::poll(&wait, 1, kAnswerPatienceMs) <= 0) return std::nullopt;
  const auto reply = receive_message(socket);
  if (!reply || !*reply) return std::nullopt;
  return number_of((*reply)->body, "device");
}

/// A lazily detached mount keeps its daemon, and that one the socket's name, while somebody uses it; a later
/// mount at the same place has the name with its process id behind.
std::vector<std::string> sockets_of(const MountEntry& mount) {
  const std::string name = socket_name(mount.path);
  std::vector<std::string> found;
  for (const std::string& directory : socket_directories(mount.owner)) {
    std::error_code failed;
    for (std::filesystem::directory_iterator entry(directory, failed), end; !failed && entry != end;
         entry.increment(failed))
      if (entry->path().filename().string().starts_with(name)) found.push_back(entry->path());
  }
  return found;
}

enum class Serves { ThisMount, Another, Unknown };

struct Listener {
  Serves serves = Serves::Another;
  pid_t pid = 0;
  UniqueFd pidfd;
};

/// The daemon itself listens, so the kernel names its process.
Listener ask(const std::string& path, const MountEntry& mount) {
  const auto socket = connect_to(path);
  ucred peer{};
  socklen_t length = sizeof peer;
  if (!socket || ::getsockopt(socket->get(), SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0 || peer.pid <= 0 ||
      (peer.uid != mount.owner && peer.uid != 0))
    return {};
  UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, peer.pid, 0)));
  const auto device = served_device(socket->get());
  const Serves serves = !device                   ? Serves::Unknown
                        : *device == mount.device ? Serves::ThisMount
                                                  : Serves::Another;
  return {serves, peer.pid, std::move(pidfd)};
}

}  // namespace

MountDaemon::MountDaemon(const MountEntry& mount) {
  for (const std::string& socket : sockets_of(mount)) {
    Listener listener = ask(socket, mount);
    if (listener.serves == Serves::Another) continue;
    // One that hangs may well be the one.
    pid_ = listener.pid;
    pidfd_ = std::move(listener.pidfd);
    answers_ = listener.serves == Serves::ThisMount;
    if (listener.serves == Serves::ThisMount) return;
  }
}

std::string silence_of(pid_t daemon) {
  if (daemon <= 0) return "its daemon does not answer";
  const std::string number = std::to_string(daemon);
  std::ifstream about("/proc/" + number + "/stat");
  std::string line;
  std::getline(about, line);
  const size_t name_end = line.rfind(") ");
  const bool stopped = name_end != std::string::npos && line.substr(name_end + 2, 1) == "T";
  if (!stopped) return "its daemon (process " + number + ") does not answer";
  return "its daemon (process " + number + ") is stopped; `kill -CONT " + number + "` lets it go on";
}

bool MountDaemon::ended_within(int milliseconds) const {
  pollfd wait{pidfd_.get(), POLLIN, 0};
  return !pidfd_ || ::poll(&wait, 1, milliseconds) > 0;
}

}  // namespace dmabuffs
