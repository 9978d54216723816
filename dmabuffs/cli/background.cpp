// SPDX-License-Identifier: MIT
#include "dmabuffs/cli/background.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>

#include "dmabuffs/cli/commands.h"

namespace dmabuffs::cli {

namespace {

constexpr char kReady = '\0';

/// The parent: passes on what the child says: kReady, or a message and behind it the exit status. A child
/// that dies says nothing.
[[noreturn]] void wait_for(int child) {
  std::string said;
  char part[512];
  ssize_t got = 0;
  while ((got = ::read(child, part, sizeof part)) > 0 || (got < 0 && errno == EINTR)) {
    if (got > 0) said.append(part, static_cast<size_t>(got));
    if (!said.empty() && said.back() == kReady) ::_exit(0);
  }
  if (said.empty()) ::_exit(report("the daemon died at its start; `dmabuffs mount -f` shows more"));
  const int status = said.back();
  said.pop_back();
  report(said);
  ::_exit(status);
}

/// Going on in the calling shell's own process would leave it waiting for as long as the mount lasts.
[[noreturn]] void give_up() {
  ::_exit(report(std::string("no background process for the mount: ") + std::strerror(errno)));
}

/// sd_notify(3): one datagram to $NOTIFY_SOCKET. Nobody there, or an error: nobody asked.
void notify_service_manager(const std::string& what) {
  const char* path = std::getenv("NOTIFY_SOCKET");
  if (path == nullptr || std::strlen(path) < 2) return;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const size_t length = std::min(std::strlen(path), sizeof address.sun_path - 1);
  std::memcpy(address.sun_path, path, length);
  if (address.sun_path[0] == '@') address.sun_path[0] = '\0';
  const UniqueFd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const std::string message = "READY=1\nSTATUS=" + what;
  ::sendto(socket.get(), message.data(), message.size(), MSG_NOSIGNAL, reinterpret_cast<sockaddr*>(&address),
           static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length));
}

}  // namespace

Background Background::split(bool foreground) {
  Background self;
  self.foreground_ = foreground;
  if (foreground) return self;
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) give_up();
  const pid_t child = ::fork();
  if (child < 0) give_up();
  if (child > 0) {
    ::close(ends[1]);
    wait_for(ends[0]);
  }
  ::close(ends[0]);
  self.parent_.reset(ends[1]);
  ::setsid();
  return self;
}

void Background::ready(const std::string& what) {
  notify_service_manager(what);
  if (foreground_) return;
  // The terminal goes first: whoever waits for our output to end must not wait for the mount's.
  const UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  for (const int fd : {0, 1, 2}) ::dup2(null.get(), fd);
  (void)!::write(parent_.get(), &kReady, 1);
  parent_.reset();
}

int Background::failed(const std::string& message, int status) {
  if (foreground_ || !parent_) {
    report(message);
    return status;
  }
  const std::string said = message + static_cast<char>(status);
  (void)!::write(parent_.get(), said.data(), said.size());
  parent_.reset();
  return status;
}

}  // namespace dmabuffs::cli
