// SPDX-License-Identifier: MIT
#include "dmabuffs/control/server/door.h"

#include <linux/magic.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <memory>

#include "dmabuffs/base/child_process.h"
#include "dmabuffs/base/mount_table.h"
#include "dmabuffs/control/message.h"
#include "dmabuffs/control/server/peer.h"
#include "dmabuffs/heap/dmabuf_storage.h"

namespace dmabuffs {

namespace {

constexpr int kCheckPatienceMs = 10'000;
constexpr timeval kSendLimit{5, 0};  // a client that reads nothing gets its connection closed
constexpr size_t kMostKept = 512;
constexpr size_t kMostOfName = 1024;
constexpr int kNoRoomPauseMs = 100;
constexpr const char* kReadIt = ", so it is read and written by the client";

/// Whether the request names files by descriptors.
bool passes_files(const Json& request) {
  const auto names_one = [&request](const char* end) {
    const auto found = request.find(end);
    return found != request.end() && found->is_object() && found->contains("fd");
  };
  return text_of(request, "op") == "copy" && (names_one("from") || names_one("to"));
}

/// fstatfs(2) on FUSE is a request, which may never be answered; nor may the end of a process that has files
/// of there.
Result<bool> asked_is_fuse(int fd, const std::string& name) {
  while (::waitpid(-1, nullptr, WNOHANG) > 0) continue;  // who did not answer in time
  auto asking = TRY(ChildProcess::start(SIGKILL, [fd] {
    struct statfs about {};
    return ::fstatfs(fd, &about) != 0 || about.f_type == FUSE_SUPER_MAGIC ? 1 : 0;
  }));
  if (asking.ended_within(kCheckPatienceMs)) return shell_status(asking.reap()) != 0;
  asking.signal(SIGKILL);
  return fail(EOPNOTSUPP, name + ": its file system does not answer" + kReadIt);
}

/// What the client calls the file that it passes as descriptor `index` of the request.
std::string passed_name(const Json& request, size_t index) {
  for (const char* end : {"from", "to"}) {
    const auto found = request.find(end);
    if (found == request.end() || !found->is_object()) continue;
    if (number_of(*found, "fd") != index && number_of(*found, "direct_fd") != index) continue;
    if (const auto name = text_of(*found, "name")) return printable(name->substr(0, kMostOfName));
  }
  return "passed descriptor";
}

/// Why the daemon must not have it; asks the kernel only, where it can.
Result<void> check(int fd, const std::string& name, bool trusted, MountTypes& types) {
  struct statx st {};
  // No attribute is wanted: FUSE gives none to who is not allowed there.
  if (::statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, 0, &st) != 0) return fail_errno(errno, name);
  const std::string type = types.type_of(st.stx_mnt_id);
  if (type.empty() && !trusted)
    return fail(EOPNOTSUPP, name + ": of a mount that the daemon does not see" + kReadIt);
  auto fuse = TRY(type.empty() ? asked_is_fuse(fd, name) : Result<bool>(is_fuse(type)));
  if (fuse)
    return fail(EOPNOTSUPP, name + ": on a FUSE file system, whose server could hang the daemon" + kReadIt);
  // A socket may have descriptors waiting in it, too.
  if (!S_ISREG(st.stx_mode) && !S_ISBLK(st.stx_mode))
    return fail(EINVAL, name + ": neither a regular file nor a block device");
  return {};
}

/// Asks the kernel only.
Result<void> check_dmabuf(int fd) {
  if (size_if_dmabuf(fd) > 0) return {};
  std::string path(256, '\0');
  const ssize_t length =
      ::readlink(("/proc/self/fd/" + std::to_string(fd)).c_str(), path.data(), path.size());
  path.resize(std::max<ssize_t>(length, 0));
  return fail(EINVAL, "passed descriptor: " + printable(path) + " is no dma-buf");
}

/// One client that is served.
class Service {
 public:
  Service(UniqueFd client, UniqueFd daemon, bool trusted, const std::string& mountpoint)
      : client_(std::move(client)), daemon_(std::move(daemon)), trusted_(trusted), mountpoint_(mountpoint) {
    ::setsockopt(client_.get(), SOL_SOCKET, SO_SNDTIMEO, &kSendLimit, sizeof kSendLimit);
  }

  [[noreturn]] void run() {
    while (pass_on()) continue;
    // Which both see, whatever hangs, and whatever of theirs that still has.
    ::shutdown(client_.get(), SHUT_RDWR);
    ::shutdown(daemon_.get(), SHUT_RDWR);
    ::_exit(0);
  }

 private:
  /// While the daemon takes no more it is only listened to: it may be waiting for that.
  bool pass_on() {
    std::array<pollfd, 2> polled{{{client_.get(), static_cast<short>(full_ ? 0 : POLLIN), 0},
                                  {daemon_.get(), static_cast<short>(full_ ? POLLIN | POLLOUT : POLLIN), 0}}};
    if (::poll(polled.data(), polled.size(), -1) < 0) return errno == EINTR;
    if ((polled[1].revents & ~POLLOUT) != 0) return from_daemon();
    if (full_ && polled[0].revents != 0) return false;
    pollfd room{daemon_.get(), POLLOUT, 0};
    full_ = ::poll(&room, 1, 0) <= 0;
    return full_ || polled[0].revents == 0 || from_client();
  }

  bool from_daemon() {
    std::vector<UniqueFd> fds;
    const auto text = receive_text(daemon_.get(), fds);
    const bool ends = !text || !text->has_value();
    if (ends && !taken_)
      (void)send_message(
          client_.get(),
          error_reply({EMFILE, mountpoint_ + ": the daemon has no file descriptor left (see its ulimit " +
                                   "-n), or has just ended; close files of the mount and try again"}));
    if (ends) return false;
    if (!std::exchange(taken_, true) && (*text)->starts_with(R"({"taken")")) return true;
    std::vector<int> numbers;
    numbers.reserve(fds.size());
    for (const UniqueFd& fd : fds) numbers.push_back(fd.get());
    // A client that does not read its progress must not slow the copy: what does not fit is dropped.
    const bool progress = (*text)->starts_with(R"({"progress")");
    return send_text(client_.get(), **text, numbers, !progress).has_value() || progress;
  }

  bool from_client() {
    const size_t before = kept_.size();
    const auto text = receive_text(client_.get(), kept_);
    if (kept_.size() > kMostKept || (text && !text->has_value())) return false;
    if (!text) return text.error().code == EMSGSIZE && refuse(text.error());
    const auto request = parse_message(**text);
    if (!request) return refuse(request.error());
    std::vector<int> wanted;
    const bool imports = text_of(*request, "op") == "import";
    const bool passes = imports || passes_files(*request);
    for (size_t i = before; passes && i < kept_.size(); ++i) {
      const int fd = kept_[i].get();
      auto harmless =
          imports ? check_dmabuf(fd) : check(fd, passed_name(*request, i - before), trusted_, types_);
      if (!harmless) return refuse(harmless.error());
      wanted.push_back(kept_[i].get());
    }
    const auto sent = send_text(daemon_.get(), **text, wanted);
    if (!wanted.empty()) kept_.resize(before);
    return sent || sent.error().code == EPIPE;  // then its last words are still to come
  }

  bool refuse(const Error& error) {
    const auto sent = send_text(daemon_.get(), to_text(Json::array({error_reply(error)})));
    return sent || sent.error().code == EPIPE;
  }

  UniqueFd client_, daemon_;
  bool trusted_;
  const std::string& mountpoint_;
  bool taken_ = false, full_ = false;
  std::vector<UniqueFd> kept_;
  MountTypes types_;
};

/// Takes what waits in a socket into which no more can come; false: there are descriptors, and they are left
/// there. A look at them holds none of them last.
bool empty(int client) {
  // The sender's credentials tell an empty message from the end.
  const int yes = 1;
  if (::setsockopt(client, SOL_SOCKET, SO_PASSCRED, &yes, sizeof yes) != 0) return false;
  while (true) {
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(ucred))> credentials{};
    msghdr header{};
    header.msg_control = credentials.data();
    header.msg_controllen = credentials.size();
    if (::recvmsg(client, &header, MSG_PEEK | MSG_DONTWAIT) < 0) {
      if (errno == EINTR || errno == ECONNRESET) continue;  // which comes once
      return false;
    }
    if ((header.msg_flags & MSG_CTRUNC) != 0) return false;
    if (header.msg_controllen == 0) return true;
    (void)::recv(client, nullptr, 0, MSG_DONTWAIT);
  }
}

class Door {
 public:
  Door(UniqueFd listener, UniqueFd porter, const MountContext& context)
      : listener_(std::move(listener)), porter_(std::move(porter)), context_(context) {}

  [[noreturn]] void run() {
    while (true) {
      std::array<pollfd, 2> polled{{{porter_.get(), 0, 0}, {listener_.get(), POLLIN, 0}}};
      (void)::poll(polled.data(), polled.size(), -1);
      if (polled[0].revents != 0) end();
      client_.reset(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (client_)
        meet();
      else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM)
        (void)::poll(polled.data(), 1, kNoRoomPauseMs);
    }
  }

 private:
  void meet() {
    const auto peer = peer_of(client_.get());
    if (!peer) return refuse(peer.error());
    auto verdict = ask(to_json(*peer));
    if (!flag_of(verdict.body, "ok")) return refuse(error_of(verdict.body));
    if (verdict.fds.empty()) return refuse({EMFILE, "control socket: no file descriptor"});
    porter_.reset();
    listener_.reset();
    Service(std::move(client_), std::move(verdict.fds.front()), is_trusted(*peer, context_),
            context_.settings.mountpoint)
        .run();
  }

  Message ask(const Json& question, std::span<const int> fds = {}) {
    if (!send_message(porter_.get(), question, fds)) end();
    auto answer = receive_message(porter_.get());
    if (!answer || !answer->has_value()) end();
    return std::move(**answer);
  }

  /// No more comes in first, so that what is there is known.
  void refuse(const Error& why) {
    ::shutdown(client_.get(), SHUT_RD);
    (void)send_message(client_.get(), error_reply(why), {}, /*wait=*/false);
    ::shutdown(client_.get(), SHUT_RDWR);
    if (empty(client_.get())) return client_.reset();
    // The porter has it closed elsewhere, so this is not the last to do so.
    const std::array fds{client_.get()};
    (void)ask({{"keep", true}}, fds);
    client_.reset();
  }

  /// What is still open may hang this process for good, so what others wait for goes before. With the
  /// listener go clients who were not accepted: they are woken first of all.
  [[noreturn]] void end() {
    if (client_) ::shutdown(client_.get(), SHUT_RDWR);
    porter_.reset();
    listener_.reset();
    ::_exit(0);
  }

  UniqueFd listener_, porter_, client_;
  const MountContext& context_;
};

}  // namespace

void be_door(UniqueFd listener, UniqueFd porter, const MountContext& context) {
  ::prctl(PR_SET_NAME, "dmabuffs-door");
  try {
    Door(std::move(listener), std::move(porter), context).run();
  } catch (...) {
    ::_exit(1);  // out of memory: nothing of the caller's may run in this process
  }
}

}  // namespace dmabuffs
