// SPDX-License-Identifier: MIT
#include "dmabuffs/control/server/porter.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <map>

#include "dmabuffs/control/message.h"
#include "dmabuffs/control/server/door.h"

namespace dmabuffs {

namespace {

constexpr size_t kMaxTrusted = 64;
// So that one user of an allow_other mount can't shut the others out, nor all of them the owner.
constexpr size_t kMaxStrangers = 48;
constexpr size_t kMaxOfUser = 16;
constexpr int kForkPauseMs = 100;

struct Pair {
  UniqueFd a, b;
};

Result<Pair> socket_pair() {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0)
    return fail_errno(errno, "control socket");
  return Pair{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

class Porter {
 public:
  Porter(const MountContext& context, UniqueFd daemon, UniqueFd listener, UniqueFd children)
      : context_(context),
        daemon_(std::move(daemon)),
        listener_(std::move(listener)),
        children_(std::move(children)) {}

  [[noreturn]] void run() {
    while (true) {
      if (!idle_) make_door();
      std::array<pollfd, 3> polled{
          {{daemon_.get(), 0, 0}, {children_.get(), POLLIN, 0}, {idle_.get(), POLLIN, 0}}};
      (void)::poll(polled.data(), polled.size(), idle_ ? -1 : kForkPauseMs);
      if (polled[0].revents != 0) end();
      reap();
      if (idle_ && polled[2].revents != 0) hear();
    }
  }

 private:
  /// Exactly one process accepts, so that this one never has a client whom it does not know.
  void make_door() {
    auto pair = socket_pair();
    const pid_t child = pair ? ::fork() : -1;
    if (child < 0) return;  // tried again; clients wait in the backlog
    if (child == 0) {
      daemon_.reset();
      pair->a.reset();
      be_door(std::move(listener_), std::move(pair->b), context_);
    }
    idle_ = std::move(pair->a);
    idle_pid_ = child;
    doors_[child] = kNobody;
  }

  /// A process is a zombie only after all its descriptors are closed: one that hangs there still counts.
  void reap() {
    signalfd_siginfo ignored{};
    (void)!::read(children_.get(), &ignored, sizeof ignored);
    int status = 0;
    for (pid_t child = 0; (child = ::waitpid(-1, &status, WNOHANG)) > 0;) {
      if (WIFSIGNALED(status))
        (void)send_message(
            daemon_.get(),
            {{"note", "a client's process was ended by signal " + std::to_string(WTERMSIG(status))}}, {},
            /*wait=*/false);
      doors_.erase(child);
      if (child == idle_pid_) idle_.reset();
    }
  }

  /// What the idle door has to say: whom it met, or what it can't let go.
  void hear() {
    auto message = receive_message(idle_.get());
    if (!message || !message->has_value()) {
      idle_.reset();  // it ends, and stays counted as the last one's whom it met
    } else if (flag_of((*message)->body, "keep")) {
      for (UniqueFd& fd : (*message)->fds) kept_.push_back(std::move(fd));
      (void)send_message(idle_.get(), {{"ok", true}});
    } else {
      decide(peer_in((*message)->body));
    }
  }

  void decide(const Peer& peer) {
    const auto refused = refusal(peer);
    auto pair = refused ? Result<Pair>(Failure(*refused)) : socket_pair();
    doors_[idle_pid_] = peer.uid;
    if (!pair) return (void)send_message(idle_.get(), error_reply(pair.error()));
    const std::array for_daemon{pair->a.get()}, for_door{pair->b.get()};
    (void)send_message(daemon_.get(), to_json(peer), for_daemon);
    (void)send_message(idle_.get(), {{"ok", true}}, for_door);
    idle_.reset();
  }

  [[nodiscard]] std::optional<Error> refusal(const Peer& peer) const {
    if (!may_connect(peer, context_))
      return Error{EACCES,
                   context_.settings.mountpoint + ": serves its owner only (mount with -o allow_other)"};
    size_t of_user = 0, of_kind = 0;
    const bool trusted = is_trusted(peer, context_);
    for (const auto& [pid, uid] : doors_) {
      if (pid == idle_pid_) continue;
      of_user += uid == peer.uid;
      of_kind += is_trusted({uid}, context_) == trusted;
    }
    if (trusted ? of_kind >= kMaxTrusted : of_user >= kMaxOfUser || of_kind >= kMaxStrangers)
      return Error{EBUSY, context_.settings.mountpoint + ": too many transfers at once; try again later"};
    return std::nullopt;
  }

  /// In this order, since the last may hang: the clients that still wait are woken first.
  [[noreturn]] void end() {
    idle_.reset();
    listener_.reset();
    ::_exit(0);
  }

  static constexpr uid_t kNobody = static_cast<uid_t>(-1);

  const MountContext& context_;
  UniqueFd daemon_, listener_, children_, idle_;
  pid_t idle_pid_ = 0;
  std::map<pid_t, uid_t> doors_;  ///< that have not ended
  std::vector<UniqueFd> kept_;    ///< sockets of refused clients, never closed
};

/// Nothing of the daemon's is left in it but its end of the socket, and the listener.
[[noreturn]] void become_porter(const MountContext& context, UniqueFd daemon, UniqueFd listener) noexcept {
  constexpr int kFirst = 3, kAway = 10;
  const std::array away{::fcntl(daemon.release(), F_DUPFD_CLOEXEC, kAway),
                        ::fcntl(listener.release(), F_DUPFD_CLOEXEC, kAway)};
  const int null = ::open("/dev/null", O_RDWR);
  for (const int fd : {0, 1, 2}) ::dup2(null, fd);
  for (const int i : {0, 1}) ::dup2(away.at(static_cast<size_t>(i)), kFirst + i);
  ::close_range(kFirst + 2, ~0U, 0);
  (void)!::chdir("/");
  ::setsid();
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGCHLD}) std::signal(number, SIG_DFL);
  ::prctl(PR_SET_NAME, "dmabuffs-porter");
  sigset_t children;
  ::sigemptyset(&children);
  ::sigaddset(&children, SIGCHLD);
  ::sigprocmask(SIG_SETMASK, &children, nullptr);
  Porter(context, UniqueFd(kFirst), UniqueFd(kFirst + 1),
         UniqueFd(::signalfd(-1, &children, SFD_CLOEXEC | SFD_NONBLOCK)))
      .run();
}

}  // namespace

Result<UniqueFd> start_porter(const MountContext& context, UniqueFd listener) {
  auto pair = socket_pair();
  if (!pair) return pass(std::move(pair));
  const pid_t child = ::fork();
  if (child < 0) return fail_errno(errno, "control socket: no process");
  if (child == 0) become_porter(context, std::move(pair->b), std::move(listener));
  return std::move(pair->a);
}

}  // namespace dmabuffs
