// SPDX-License-Identifier: MIT
#include "dmabuffs/fs/descriptor_gate.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>

#include "dmabuffs/base/mount_types.h"
#include "dmabuffs/fs/control_message.h"

namespace dmabuffs {

namespace {

constexpr int kPatienceMs = 10'000;
constexpr size_t kMaxOfUser = 32;  // a connection's last process may not have ended when the next begins
constexpr size_t kMax = 256;
constexpr int kMostQueued = 1024;  // messages
constexpr int kLastToClose = 512;  // above all that one message brings

constexpr const char* kReadIt = ", so it is read and written by the client";

/// Why the daemon must not have it; asks the kernel only, where it can: statfs(2) on FUSE is a request, too.
Result<void> check(int fd, bool trusted, MountTypes& types) {
  struct statx st {};
  // No attribute is wanted: FUSE gives none to who is not allowed there.
  if (::statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, 0, &st) != 0)
    return fail_errno(errno, "passed descriptor");
  const std::string type = types.type_of(st.stx_mnt_id);
  if (type.empty() && !trusted)
    return fail(EOPNOTSUPP,
                std::string("passed descriptor: of a mount that the daemon does not see") + kReadIt);
  struct statfs about {};
  const bool fuse =
      type.empty() ? ::fstatfs(fd, &about) != 0 || about.f_type == FUSE_SUPER_MAGIC : is_fuse(type);
  if (fuse)
    return fail(EOPNOTSUPP,
                std::string("passed descriptor: on a FUSE file system, whose server could hang the daemon") +
                    kReadIt);
  return {};
}

/// The one process: takes the client's message and hands on what is harmless.
void take_one(int client, int reply, bool trusted) {
  // Closed last, in the order of numbers: while a close hangs, the daemon sees that this process is there.
  const int last = ::fcntl(reply, F_DUPFD_CLOEXEC, kLastToClose);
  if (last < 0) return;
  ::close(reply);
  auto message = receive_message(client);
  if (!message || !message->has_value()) {
    (void)send_message(last,
                       error_reply(message ? Error{ECONNRESET, "the client has gone"} : message.error()));
    ::_exit(0);
  }
  MountTypes types;
  std::vector<int> fds;
  for (const UniqueFd& fd : (*message)->fds) {
    if (auto harmless = check(fd.get(), trusted, types); !harmless) {
      (void)send_message(last, error_reply(harmless.error()));
      ::_exit(0);  // destructors would close, too, but this says what happens
    }
    fds.push_back(fd.get());
  }
  (void)send_message(last, {{"ok", true}}, fds);
  ::_exit(0);
}

/// Ends when the daemon has: then nobody has the other end.
[[noreturn]] void fork_for(int daemon) {
  while (true) {
    auto order = receive_message(daemon);
    if (!order || !order->has_value()) ::_exit(0);
    if ((*order)->fds.size() != 2 || ::fork() != 0) continue;
    const std::string what = text_of((*order)->body, "order").value_or("");
    if (what != "close") take_one((*order)->fds[0].get(), (*order)->fds[1].release(), what == "take");
    // Whoever closes it last meets what is left in it; more than a socket holds is never left.
    for (int i = 0; what == "close" && i < kMostQueued; ++i)
      (void)::recv((*order)->fds[0].get(), nullptr, 0, MSG_DONTWAIT);
    ::_exit(0);
  }
}

/// Nothing of the daemon's is left in it but its end of the socket.
[[noreturn]] void become_forker(int daemon) {
  const int null = ::open("/dev/null", O_RDWR);
  for (const int fd : {0, 1, 2}) ::dup2(null, fd);
  ::dup2(daemon, 3);
  ::close_range(4, ~0U, 0);
  (void)!::chdir("/");
  ::setsid();
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) std::signal(number, SIG_DFL);
  std::signal(SIGCHLD, SIG_IGN);  // nobody waits for its children
  fork_for(3);
}

bool hung_up(int fd) {
  pollfd polled{fd, 0, 0};
  return ::poll(&polled, 1, 0) > 0;
}

}  // namespace

Result<std::unique_ptr<DescriptorGate>> DescriptorGate::make() {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0)
    return fail_errno(errno, "control socket");
  UniqueFd mine(ends[0]), its(ends[1]);
  const pid_t child = ::fork();
  if (child < 0) return fail_errno(errno, "control socket: no process");
  if (child == 0) become_forker(its.get());
  return std::unique_ptr<DescriptorGate>(new DescriptorGate(std::move(mine)));
}

Result<UniqueFd> DescriptorGate::begin(int client, uid_t user, const char* order) {
  const std::lock_guard lock(mutex_);
  taking_.remove_if([](const Taking& taking) { return hung_up(taking.end.get()); });
  const auto of_user = std::count_if(taking_.begin(), taking_.end(),
                                     [user](const Taking& taking) { return taking.user == user; });
  if (taking_.size() >= kMax || static_cast<size_t>(of_user) >= kMaxOfUser)
    return fail(EBUSY,
                "passed descriptors: those passed before can't be closed; does their file system answer?");
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0)
    return fail_errno(errno, "passed descriptors");
  UniqueFd mine(ends[0]), its(ends[1]);
  UniqueFd kept(::fcntl(mine.get(), F_DUPFD_CLOEXEC, 0));
  if (!kept) return fail_errno(errno, "passed descriptors");
  const std::array fds{client, its.get()};
  if (auto sent = send_message(forker_.get(), {{"order", order}}, fds); !sent) return pass(std::move(sent));
  taking_.push_back({user, std::move(kept)});
  return mine;
}

Result<std::vector<UniqueFd>> DescriptorGate::take(int client, uid_t user, bool trusted, int stop) {
  auto end = begin(client, user, trusted ? "take" : "check");
  if (!end) return pass(std::move(end));
  std::array<pollfd, 2> polled{{{end->get(), POLLIN, 0}, {stop, POLLIN, 0}}};
  int ready = 0;
  do ready = ::poll(polled.data(), polled.size(), kPatienceMs);
  while (ready < 0 && errno == EINTR);
  if (polled[1].revents != 0) return fail(ECANCELED, "the mount ends");
  if (ready <= 0)
    return fail(EOPNOTSUPP, std::string("passed descriptor: its file system does not answer") + kReadIt);
  auto reply = receive_message(end->get());
  // Most end at once, and are not looked at again then.
  constexpr int kQuickMs = 100;
  pollfd ended{end->get(), 0, 0};
  if (::poll(&ended, 1, kQuickMs) > 0) {
    const std::lock_guard lock(mutex_);
    taking_.remove_if([](const Taking& taking) { return hung_up(taking.end.get()); });
  }
  if (!reply) return pass(std::move(reply));
  if (!reply->has_value()) return fail(ENOMEM, "passed descriptors: no process to take them");
  if (!flag_of((*reply)->body, "ok")) return Failure(error_of((*reply)->body));
  return std::move((*reply)->fds);
}

}  // namespace dmabuffs
