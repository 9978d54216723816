// SPDX-License-Identifier: MIT
#include "dmabuffs/cli/mount/private_mount.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <string_view>

#include "dmabuffs/cli/commands.h"
#include "dmabuffs/cli/mount/private_namespace.h"

namespace dmabuffs::cli {
namespace {

constexpr int kPrivatePatience = 10'000;  // milliseconds for the daemon to end

std::string runtime_directory() {
  const char* directory = std::getenv("XDG_RUNTIME_DIR");
  if (directory != nullptr && directory[0] == '/' && ::access(directory, W_OK | X_OK) == 0) return directory;
  return "/tmp";
}

/// The keeper's life: waits until every writer of `alive` is gone. It keeps nothing else open, so that no
/// reader of our output waits for it.
[[noreturn]] void keep(int alive, const std::string& directory) {
  ::setsid();  // no signal of the terminal may end it
  ::dup2(alive, 0);
  ::close_range(1, ~0U, 0);
  char byte = 0;
  while (::read(0, &byte, 1) < 0 && errno == EINTR) {
  }
  ::rmdir(directory.c_str());
  ::_exit(0);
}

}  // namespace

Result<ScratchDirectory> ScratchDirectory::make() {
  ScratchDirectory scratch;
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return fail_errno(errno, "pipe");
  const UniqueFd reader(ends[0]);
  UniqueFd writer(ends[1]);
  std::string path = runtime_directory() + "/dmabuffs-exec.XXXXXX";
  if (::mkdtemp(path.data()) == nullptr) return fail_errno(errno, path);
  scratch.keeper_ = ::fork();
  if (scratch.keeper_ < 0) {
    const int code = errno;
    ::rmdir(path.c_str());
    return fail_errno(code, "fork");
  }
  if (scratch.keeper_ == 0) {
    writer.reset();
    keep(reader.get(), path);
  }
  scratch.path_ = std::move(path);
  scratch.alive_ = std::move(writer);
  return scratch;
}

ScratchDirectory::~ScratchDirectory() {
  if (!alive_) return;
  alive_.reset();
  while (::waitpid(keeper_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

Result<ReadySocket> ReadySocket::make() {
  ReadySocket ready;
  ready.fd_.reset(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!ready.fd_) return fail_errno(errno, "socket");
  const int on = 1;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  socklen_t length = sizeof address;
  // A name of the kernel's choice in the abstract space leaves no file behind.
  if (::setsockopt(ready.fd(), SOL_SOCKET, SO_PASSCRED, &on, sizeof on) != 0 ||
      ::bind(ready.fd(), reinterpret_cast<sockaddr*>(&address), sizeof address.sun_family) != 0 ||
      ::getsockname(ready.fd(), reinterpret_cast<sockaddr*>(&address), &length) != 0)
    return fail_errno(errno, "socket");
  const size_t name = length - offsetof(sockaddr_un, sun_path) - 1;
  ready.address_ = "@" + std::string(address.sun_path + 1, name);
  return ready;
}

bool ReadySocket::says_ready(pid_t sender) const {
  char text[512];
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(ucred))];
  iovec data{text, sizeof text};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  const ssize_t got = ::recvmsg(fd(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (got <= 0) return false;
  // Anyone can send to an abstract name: only the daemon is believed.
  const cmsghdr* header = CMSG_FIRSTHDR(&message);
  if (header == nullptr || header->cmsg_type != SCM_CREDENTIALS) return false;
  ucred credentials{};
  std::memcpy(&credentials, CMSG_DATA(header), sizeof credentials);
  const std::string lines = "\n" + std::string(text, static_cast<size_t>(got)) + "\n";
  return credentials.pid == sender && lines.find("\nREADY=1\n") != std::string::npos;
}

Result<ChildProcess> start_daemon(const std::vector<std::string>& arguments, const std::string& mountpoint,
                                  const ReadySocket& ready, const std::function<void()>& prepare) {
  std::vector<std::string> words = {"dmabuffs", "mount", "-f"};
  words.insert(words.end(), arguments.begin(), arguments.end());
  words.push_back(mountpoint);
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  return ChildProcess::start(SIGTERM, [&] {
    prepare();
    ::setsid();  // Ctrl-C is for the command
    ::setenv("NOTIFY_SOCKET", ready.address().c_str(), 1);
    const UniqueFd null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    ::dup2(null.get(), 0);
    ::dup2(2, 1);
    ::close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
    keep_mount_capability();
    ::execv("/proc/self/exe", argv.data());
    return report(std::string("/proc/self/exe: ") + std::strerror(errno));
  });
}

void stop_daemon(ChildProcess& daemon, const std::string& mountpoint) {
  ::umount2(mountpoint.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW);
  daemon.signal(SIGTERM);
  if (!daemon.ended_within(kPrivatePatience)) daemon.signal(SIGKILL);
  daemon.reap();
}

}  // namespace dmabuffs::cli
