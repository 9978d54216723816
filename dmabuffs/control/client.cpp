// SPDX-License-Identifier: MIT
#include "dmabuffs/control/client.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstdlib>

#include "dmabuffs/base/account.h"
#include "dmabuffs/base/read_file.h"
#include "dmabuffs/control/address.h"
#include "dmabuffs/control/daemon.h"
#include "dmabuffs/control/message.h"
#include "dmabuffs/control/way.h"

namespace dmabuffs {

namespace {

constexpr auto kCancelPatience = std::chrono::seconds(1);
constexpr auto kHelloPatience = std::chrono::seconds(10);  // a daemon with much to do is slow, too

/// In a user namespace that has no number for the mount's owner the kernel says this one for the daemon, and
/// for many others (user_namespaces(7)).
uid_t overflow_uid() {
  const auto text = read_file("/proc/sys/kernel/overflowuid");
  return text ? static_cast<uid_t>(std::strtoul(text->c_str(), nullptr, 10)) : 65534;
}

/// Whoever passes descriptors must know whom to. `is_told`: whether the mount itself names this socket.
Result<pid_t> check_daemon(int socket, const MountEntry& mount, const std::function<bool()>& is_told) {
  ucred peer{};
  socklen_t length = sizeof peer;
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0)
    return fail_errno(errno, mount.path + ": control socket");
  if (peer.uid != mount.owner && peer.uid != 0 && !(peer.uid == overflow_uid() && is_told()))
    return fail(EPERM, mount.path + ": its control socket is held by uid " + std::to_string(peer.uid) +
                           ", not by the mount's owner");
  return peer.pid;
}

int wait_readable(int socket, int interrupt, std::chrono::milliseconds limit) {
  std::array<pollfd, 2> polled{{{socket, POLLIN, 0}, {interrupt, POLLIN, 0}}};
  const int ready = ::poll(polled.data(), polled.size(), static_cast<int>(limit.count()));
  if (ready <= 0) return -1;
  return polled[0].revents ? socket : interrupt;
}

/// Where the way to `path` ends at a mount that only another user may enter, root not excepted: that it does,
/// and the remedy; else nothing.
std::string closed_mount(const std::string& path) {
  std::string text;
  (void)follow(path, [&text](const MountEntry& mount, const UniqueFd&) -> Result<void> {
    if (::access(mount.path.c_str(), X_OK) == 0 || errno != EACCES) return {};
    text = "; the mount at " + mount.path + " is for " + user_name(mount.owner) +
           " alone: mounted with -o allow_root it lets root in, with -o allow_other others, too";
    return fail(EACCES, mount.path);
  });
  return text;
}

}  // namespace

bool is_of_dead_daemon(int code) {
  return code == ENOTCONN || code == ECONNABORTED;
}

Failure path_error(int code, const std::string& path) {
  const std::string name = path.empty() ? "''" : path;
  if (is_of_dead_daemon(code) && has_dead_daemon(path))
    return fail(ENOTCONN, name + ": the mount's daemon has died; `dmabuffs umount` it and mount anew");
  if (code == EACCES) return fail(code, fail_errno(code, name).value().message + closed_mount(path));
  if (code == ENOENT || code == EPERM)
    return fail(code, name + ": " + why_missing(path, std::strerror(code)));
  return fail_errno(code, name);
}

std::vector<MountEntry> dmabuffs_among(std::vector<MountEntry> mounts) {
  std::erase_if(mounts, [](const MountEntry& mount) { return mount.type != "fuse.dmabuffs"; });
  std::stable_partition(mounts.begin(), mounts.end(),
                        [](const MountEntry& mount) { return mount.root == "/"; });
  return mounts;
}

Result<std::vector<MountEntry>> dmabuffs_mounts() {
  return dmabuffs_among(TRY(read_mount_table()));
}

const MountEntry* mount_of_device(const std::vector<MountEntry>& mounts, dev_t device) {
  const auto found = std::find_if(mounts.begin(), mounts.end(),
                                  [device](const MountEntry& m) { return m.device == device; });
  return found == mounts.end() ? nullptr : &*found;
}

Result<MountEntry> mount_of(const std::string& path) {
  TRY(check_answers(path));
  struct statx found {};
  if (::statx(AT_FDCWD, path.c_str(), AT_STATX_DONT_SYNC, 0, &found) != 0) return path_error(errno, path);
  auto mounts = TRY(dmabuffs_mounts());
  const MountEntry* mount = mount_of_device(mounts, makedev(found.stx_dev_major, found.stx_dev_minor));
  if (!mount) return fail(ENODEV, path + ": not in a dmabuffs mount");
  return *mount;
}

Result<std::string> ControlClient::told_by_status(const MountEntry& mount) {
  auto text = read_file(mount.path + "/status");
  if (!text) return fail(ENOENT, mount.path + ": its control socket can't be found: " + text.error().message);
  const Json status = Json::parse(*text, nullptr, /*allow_exceptions=*/false);
  if (!status.is_object()) return fail(EIO, mount.path + "/status: not JSON");
  auto socket = text_of(status, "socket");
  if (!socket) return fail(ENOENT, mount.path + ": the mount has no control socket; its log says why");
  return *socket;
}

Result<ControlClient> ControlClient::connect_at(std::string path, const MountEntry& mount) {
  auto socket = connect_to(path);
  if (!socket)
    return fail(socket.error().code, mount.path + ": no connection to its daemon: " + socket.error().message);
  auto daemon = TRY(check_daemon(socket->get(), mount, [&] { return told_by_status(mount) == path; }));
  return ControlClient(std::move(*socket), std::move(path), daemon);
}

Result<void> ControlClient::check_serves(const MountEntry& mount) {
  Waiting waiting;
  waiting.patience = kHelloPatience;
  const auto hello = request({{"op", "hello"}}, {}, waiting);
  if (!hello && hello.error().code == ETIMEDOUT)
    return fail(ETIMEDOUT, mount.path + ": " + silence_of(daemon_));
  if (!hello) return fail(hello.error().code, mount.path + ": " + hello.error().message);
  if (!flag_of(hello->body, "ok")) {
    const Error error = error_of(hello->body);
    return fail(error.code, mount.path + ": " + error.message);
  }
  if (number_of(hello->body, "device") != uint64_t{mount.device})
    return fail(ESTALE, mount.path + ": " + path_ + " is the control socket of another mount");
  return {};
}

/// Where the socket usually is first: the status file lists every buffer of the mount.
Result<ControlClient> ControlClient::connect(const MountEntry& mount) {
  auto usual = connect_at(control_socket_path(mount.path, mount.owner), mount);
  if (usual) {
    const auto serves = usual->check_serves(mount);
    if (serves) return usual;
    if (serves.error().code != ESTALE && serves.error().code != ECONNRESET) return Failure(serves.error());
  }
  struct stat st {};
  if (::stat(mount.path.c_str(), &st) != 0) return path_error(errno, mount.path);  // its daemon has died
  auto path = TRY(told_by_status(mount));
  auto told = connect_at(std::move(path), mount);
  if (!told) return told;
  TRY(told->check_serves(mount));
  return told;
}

Result<Message> ControlClient::request(const Json& request, std::span<const int> fds,
                                       const Waiting& waiting) {
  using Clock = std::chrono::steady_clock;
  if (auto sent = send_message(socket_.get(), request, fds); !sent) {
    // A daemon that would not have us has said why before it closed.
    auto last = sent.error().code == EPIPE ? receive_message(socket_.get()) : Failure(sent.error());
    return last && *last ? std::move(**last) : Result<Message>(Failure(sent.error()));
  }
  bool cancelled = false;
  Clock::time_point give_up = Clock::now() + waiting.patience;
  while (Clock::now() < give_up) {
    const auto limit = std::chrono::milliseconds(200);
    const int ready = wait_readable(socket_.get(), cancelled ? -1 : waiting.interrupt, limit);
    if (ready == -1) continue;
    if (ready != socket_.get()) {
      cancelled = true;
      give_up = Clock::now() + kCancelPatience;
      (void)send_message(socket_.get(), {{"op", "cancel"}}, {}, /*wait=*/false);
      continue;
    }
    auto message = receive_message(socket_.get());
    if (!message) return pass(std::move(message));
    if (!message->has_value()) return fail(ECONNRESET, "the mount's daemon has ended the connection");
    const Json& body = (*message)->body;
    if (!cancelled) give_up = Clock::now() + waiting.patience;
    const auto progress = body.find("progress");
    if (progress == body.end()) return std::move(**message);
    if (waiting.progress && progress->is_object())
      waiting.progress(number_of(*progress, "bytes").value_or(0), number_of(*progress, "total").value_or(0));
  }
  return cancelled ? fail(EINTR, "interrupted") : fail(ETIMEDOUT, silence_of(daemon_));
}

Result<ControlClient*> Clients::of(const MountEntry& mount) {
  const auto known = connected_.find(mount.device);
  if (known != connected_.end()) return &known->second;
  auto client = TRY(ControlClient::connect(mount));
  return &connected_.emplace(mount.device, std::move(client)).first->second;
}

Result<std::string> ticket_of(int fd, const std::string& name) {
  TicketBits bits;
  if (::ioctl(fd, kTicketRequest, bits.data()) != 0) return path_error(errno, name);
  return to_text(bits);
}

}  // namespace dmabuffs
