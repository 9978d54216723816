// SPDX-License-Identifier: MIT
#include "dmabuffs/base/service_manager.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <sstream>
#include <thread>

#include "dmabuffs/base/io.h"

namespace dmabuffs {

namespace {

constexpr int kFirstStored = 3;  // SD_LISTEN_FDS_START

uint64_t number_in(const char* variable) {
  const char* text = std::getenv(variable);
  return text == nullptr ? 0 : std::strtoull(text, nullptr, 10);
}

bool names_this_process(const char* variable) {
  return number_in(variable) == static_cast<uint64_t>(::getpid());
}

}  // namespace

ServiceManager::ServiceManager() {
  const char* path = std::getenv("NOTIFY_SOCKET");
  if (path == nullptr || std::strlen(path) < 2 || std::strlen(path) >= sizeof(sockaddr_un::sun_path)) return;
  path_ = path;
  if (path_.front() == '@') path_.front() = '\0';
  socket_.reset(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  // A process that one of its services has started has the same environment, but gets nothing back.
  if (socket_ && names_this_process("SYSTEMD_EXEC_PID")) room_ = number_in("FDSTORE");
}

Result<void> ServiceManager::tell(const std::string& message, int fd) {
  if (!socket_) return fail_errno(ENOTCONN, "service manager");
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::ranges::copy(path_, address.sun_path);
  iovec text{const_cast<char*>(message.data()), message.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof fd)> space{};
  msghdr packet{};
  packet.msg_name = &address;
  packet.msg_namelen = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path_.size());
  packet.msg_iov = &text;
  packet.msg_iovlen = 1;
  if (fd >= 0) {
    packet.msg_control = space.data();
    packet.msg_controllen = space.size();
    cmsghdr* header = CMSG_FIRSTHDR(&packet);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof fd);
    std::memcpy(CMSG_DATA(header), &fd, sizeof fd);
  }
  const auto give_up = std::chrono::steady_clock::now() + kPatience;
  while (again([&] { return ::sendmsg(socket_.get(), &packet, MSG_NOSIGNAL | MSG_DONTWAIT); }) < 0) {
    const int code = errno;
    // ETOOMANYREFS: as many descriptors are on their way as this user may have (unix(7)).
    const bool behind = code == EAGAIN || code == ETOOMANYREFS || code == ENOBUFS;
    if (!behind || !patient_ || std::chrono::steady_clock::now() > give_up) {
      patient_ = patient_ && !behind;
      return fail_errno(code, "service manager");
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  patient_ = true;
  return {};
}

std::vector<ServiceManager::Stored> ServiceManager::take_stored() {
  std::vector<Stored> stored;
  if (names_this_process("LISTEN_PID")) {
    const char* names = std::getenv("LISTEN_FDNAMES");
    std::istringstream list(names == nullptr ? "" : names);
    const auto count = static_cast<int>(std::min<uint64_t>(number_in("LISTEN_FDS"), 1U << 30U));
    for (int fd = kFirstStored; fd < kFirstStored + count; ++fd) {
      if (::fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) break;
      std::string name;
      std::getline(list, name, ':');
      stored.push_back({UniqueFd(fd), std::move(name)});
    }
  }
  for (const char* variable : {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"}) ::unsetenv(variable);
  return stored;
}

}  // namespace dmabuffs
