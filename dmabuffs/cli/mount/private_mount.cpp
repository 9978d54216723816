// SPDX-License-Identifier: MIT
#include "dmabuffs/cli/mount/private_mount.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <fstream>
#include <string_view>

#include "dmabuffs/base/io.h"
#include "dmabuffs/base/unique_fd.h"
#include "dmabuffs/cli/commands.h"

namespace dmabuffs::cli {

namespace {

constexpr int kMostLevels = 1000;  // of directories, in a path of at most PATH_MAX bytes

Result<void> write_file(const std::string& path, const std::string& text) {
  const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd || ::write(fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()))
    return fail_errno(errno, path);
  return {};
}

/// A map of one id to itself is what everyone may write for himself, once setgroups is off
/// (user_namespaces(7)).
Result<void> map_own_ids(uid_t uid, gid_t gid) {
  const std::string user = std::to_string(uid), group = std::to_string(gid);
  TRY(write_file("/proc/self/setgroups", "deny"));
  TRY(write_file("/proc/self/uid_map", user + " " + user + " 1"));
  return write_file("/proc/self/gid_map", group + " " + group + " 1");
}

bool is_zero(const char* setting) {
  std::string value;
  std::ifstream(setting) >> value;
  return value == "0";
}

/// A kernel that was told to allow them refuses them (EPERM) to who is in a chroot, too.
std::string remedy(int code) {
  if (code == ENOSPC || is_zero("/proc/sys/user/max_user_namespaces"))
    return "raise user.max_user_namespaces (sysctl)";
  if (is_zero("/proc/sys/kernel/unprivileged_userns_clone"))
    return "set kernel.unprivileged_userns_clone=1 (sysctl)";
  return "in a chroot nobody has them, and a container needs CAP_SYS_ADMIN for it";
}

}  // namespace

Result<void> set_propagation(unsigned long type) {
  if (::mount(nullptr, "/", nullptr, MS_REC | type, nullptr) == 0) return {};
  const std::string problem = "no private mount: can't cut / off from the other mount namespaces";
  if (errno != EINVAL) return fail_errno(errno, problem);
  // The root directory of a chroot that is no mount: that one lies above. To who has the right to chroot, the
  // way up from outside of a root directory is open (chroot(2)).
  const UniqueFd root(::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC)), here(::open(".", O_PATH | O_CLOEXEC));
  std::string up;
  for (int level = 0; level < kMostLevels; ++level) up += "../";
  const bool above = ::chroot("/proc") == 0 && ::fchdir(root.get()) == 0 && ::chdir(up.c_str()) == 0;
  const bool done = above && ::mount(nullptr, ".", nullptr, MS_REC | type, nullptr) == 0;
  const int code = errno;
  const bool back = ::fchdir(root.get()) == 0 && ::chroot(".") == 0 && ::fchdir(here.get()) == 0;
  return done && back ? Result<void>() : fail_errno(code, problem);
}

Result<void> enter_private_namespace() {
  const uid_t uid = ::geteuid();
  const gid_t gid = ::getegid();
  if (::unshare(CLONE_NEWNS) != 0) {
    if (::unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) {
      const auto refused = fail_errno(errno, "no private mount: user namespaces are not allowed here");
      return fail(refused.value().code, refused.value().message + "; " + remedy(refused.value().code) +
                                            ", or use `dmabuffs mount`");
    }
    TRY(map_own_ids(uid, gid));
  }
  // What the host mounts from now on still arrives here; nothing goes back.
  return set_propagation(MS_SLAVE);
}

void keep_mount_capability() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = {};
  if (::syscall(SYS_capget, &header, sets) != 0) return;
  sets[CAP_TO_INDEX(CAP_SYS_ADMIN)].inheritable |= CAP_TO_MASK(CAP_SYS_ADMIN);
  if (::syscall(SYS_capset, &header, sets) != 0) return;
  ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_SYS_ADMIN, 0, 0);
}

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
  (void)again([&] { return ::read(0, &byte, 1); });
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
  (void)again([&] { return ::waitpid(keeper_, nullptr, 0); });
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
  argv.reserve(words.size() + 1);
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
