// SPDX-License-Identifier: MIT
#include "dmabuffs/control/server/porter.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <map>
#include <set>

#include "dmabuffs/control/message.h"
#include "dmabuffs/control/server/door.h"
#include "dmabuffs/control/server/peer.h"

namespace dmabuffs {

namespace {

constexpr size_t kMaxTrusted = 64;
// So that one user of an allow_other mount can't shut the others out, nor all of them the owner.
constexpr size_t kMaxStrangers = 48;
constexpr size_t kMaxOfUser = 16;
constexpr int kForkPauseMs = 100;
constexpr int kLetGoMs = 100;
constexpr long kMaxClosersOfUser = 2, kMaxClosers = 32;
constexpr rlim_t kKeptPart = 4;  // of the descriptors there may be

struct Pair {
  UniqueFd a, b;
};

Result<Pair> socket_pair() {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0)
    return fail_errno(errno, "control socket");
  return Pair{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

/// The socket of a refused client, with descriptors in it.
struct Kept {
  uid_t user;
  UniqueFd socket;
};

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
      (void)::poll(polled.data(), polled.size(), !idle_ ? kForkPauseMs : kept_.empty() ? -1 : kLetGoMs);
      if (polled[0].revents != 0) end();
      reap();
      if (!kept_.empty()) let_go();
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
      // While they are kept here, too: it is not to be the last to close one.
      kept_.clear();
      until_the_end_.clear();
      (void)send_message(pair->b.get(), Json::object());
      be_door(std::move(listener_), std::move(pair->b), context_);
    }
    pair->b.reset();
    (void)receive_message(pair->a.get());
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
      closers_.erase(child);
      if (child == idle_pid_) idle_.reset();
    }
  }

  /// What the idle door has to say: whom it met, or what it can't let go.
  void hear() {
    auto message = receive_message(idle_.get());
    if (!message || !message->has_value()) {
      idle_.reset();  // it ends, and stays counted as the last one's whom it met
    } else if (flag_of((*message)->body, "keep")) {
      for (UniqueFd& fd : (*message)->fds) kept_.push_back({doors_[idle_pid_], std::move(fd)});
      (void)send_message(idle_.get(), {{"ok", true}});
    } else {
      decide(peer_in((*message)->body));
    }
  }

  /// Has what is kept closed by processes that may hang for it: a few for each user. What is more waits, and
  /// while it does the descriptors in it count against RLIMIT_NOFILE of the user who sent them (unix(7),
  /// ETOOMANYREFS); so a process is enough for very many.
  void let_go() {
    const auto closers = [this](uid_t user) {
      return std::ranges::count(closers_, user, &std::pair<const pid_t, uid_t>::second);
    };
    std::set<uid_t> users;
    for (const Kept& kept : kept_) users.insert(kept.user);
    for (const uid_t user : users)
      if (closers(user) < kMaxClosersOfUser && std::ssize(closers_) < kMaxClosers)
        if (auto held = hand_over(user)) closers_[held->first] = user;
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || kept_.size() < limit.rlim_cur / kKeptPart) return;
    if (auto held = hand_over(std::nullopt)) until_the_end_.push_back(std::move(held->second));
  }

  /// The kept sockets of a user, or all, go to a process that closes them when the descriptor that is
  /// returned goes. It has them before they go here, so that this is never the last to close one.
  std::optional<std::pair<pid_t, UniqueFd>> hand_over(std::optional<uid_t> user) {
    auto pair = socket_pair();
    const pid_t child = pair ? ::fork() : -1;
    if (child < 0) return std::nullopt;  // tried again
    if (child == 0) {
      for (UniqueFd* fd : {&daemon_, &listener_, &children_, &idle_, &pair->a}) fd->reset();
      until_the_end_.clear();
      pollfd gone{pair->b.get(), POLLIN, 0};
      while (::poll(&gone, 1, -1) < 0) continue;
      ::_exit(0);
    }
    std::erase_if(kept_, [user](const Kept& kept) { return !user || kept.user == *user; });
    return std::pair(child, std::move(pair->a));
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
  std::map<pid_t, uid_t> doors_;    ///< that have not ended
  std::vector<Kept> kept_;          ///< never closed here
  std::map<pid_t, uid_t> closers_;  ///< that have not ended
  std::vector<UniqueFd> until_the_end_;
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
  auto pair = TRY(socket_pair());
  const pid_t child = ::fork();
  if (child < 0) return fail_errno(errno, "control socket: no process");
  if (child == 0) become_porter(context, std::move(pair.b), std::move(listener));
  return std::move(pair.a);
}

}  // namespace dmabuffs
