// SPDX-License-Identifier: MIT
#include "dmabuffs/fs/control_connection.h"

#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <array>

#include "dmabuffs/fs/control_info.h"

namespace dmabuffs {

namespace {

constexpr int kSilenceMs = 5 * 60 * 1000;  // a forgotten client must not hold a thread for ever
constexpr int kProgressMs = 500;
constexpr timeval kSendLimit{5, 0};  // a client that reads nothing gets its connection closed
constexpr std::array kOperations{"hello", "copy", "info", "status"};

bool can_go_on(const Error& error) {
  return error.code == EBADMSG || error.code == EMSGSIZE;
}

/// Whether the request names files by descriptors.
bool passes_files(const Json& request) {
  const auto names_one = [&request](const char* end) {
    const auto found = request.find(end);
    return found != request.end() && found->is_object() && found->contains("fd");
  };
  return text_of(request, "op") == "copy" && (names_one("from") || names_one("to"));
}

/// The text in a sealed memory file: longer than a message can be.
Result<UniqueFd> in_memory(const std::string& text) {
  UniqueFd fd(::memfd_create("dmabuffs-status", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd) return fail_errno(errno, "status");
  for (size_t done = 0; done < text.size();) {
    const ssize_t wrote = ::write(fd.get(), text.data() + done, text.size() - done);
    if (wrote < 0) return fail_errno(errno, "status");
    done += static_cast<size_t>(wrote);
  }
  if (::lseek(fd.get(), 0, SEEK_SET) != 0 ||
      ::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) != 0)
    return fail_errno(errno, "status");
  return fd;
}

}  // namespace

ControlConnection::Wake ControlConnection::wait(int event, int milliseconds) const {
  std::array<pollfd, 3> polled{{{socket_.get(), POLLIN, 0}, {stop_, POLLIN, 0}, {event, POLLIN, 0}}};
  int ready = 0;
  do ready = ::poll(polled.data(), polled.size(), milliseconds);
  while (ready < 0 && errno == EINTR);
  if (ready < 0 || polled[1].revents) return Wake::Ended;
  return polled[0].revents ? Wake::Message : Wake::Timeout;
}

void ControlConnection::serve() {
  ::setsockopt(socket_.get(), SOL_SOCKET, SO_SNDTIMEO, &kSendLimit, sizeof kSendLimit);
  while (wait(-1, kSilenceMs) == Wake::Message) {
    auto message = next(true);
    if (!message && !can_go_on(message.error())) return;
    if (!message) {
      if (!reply(error_reply(message.error()))) return;
      continue;
    }
    if (!message->has_value() || !answer(std::move(**message))) return;
  }
}

/// Descriptors that came with it stay in it while it is looked at; the gate takes them, wanted or not.
Result<std::optional<Message>> ControlConnection::next(bool files_wanted) {
  bool has_fds = false;
  auto message = peek_message(socket_.get(), has_fds);
  if (message ? !message->has_value() : !can_go_on(message.error())) return message;
  if (!has_fds) {
    drop_message(socket_.get());
    return message;
  }
  auto fds = gate_.take(socket_.get(), peer_.uid, is_trusted(peer_, context_), stop_);
  const bool wanted = message && files_wanted && passes_files((*message)->body);
  if (wanted && fds) (*message)->fds = std::move(*fds);
  // What the gate did not take is still there, and would be met again.
  if (!fds && (wanted || fds.error().code == EBUSY || fds.error().code == ECANCELED)) {
    (void)reply(error_reply(fds.error()));
    return fail(ECONNABORTED, fds.error().message);
  }
  return message;
}

/// What was not read may hold descriptors, and to let go of the last reference to a file can hang, too.
ControlConnection::~ControlConnection() {
  ::shutdown(socket_.get(), SHUT_RD);
  bool has_fds = false;
  const auto left = peek_message(socket_.get(), has_fds);
  if (has_fds || (left ? left->has_value() : left.error().code != EAGAIN))
    gate_.close(std::move(socket_), peer_.uid);
}

bool ControlConnection::reply(const Json& body, std::span<const int> fds) {
  return send_message(socket_.get(), body, fds).has_value();
}

bool ControlConnection::answer(Message message) {
  const std::string operation = text_of(message.body, "op").value_or("");
  if (operation == "hello") return hello();
  if (operation == "copy") return copy(std::move(message));
  if (operation == "info") return info(message);
  if (operation == "status") return status();
  // What it was for has ended, and the reply to that is all the client waits for.
  if (operation == "cancel") return true;
  Json refusal = error_reply({EOPNOTSUPP, "unknown operation \"" + operation.substr(0, 64) + "\""});
  refusal["operations"] = kOperations;
  return reply(refusal);
}

bool ControlConnection::hello() {
  return reply({{"ok", true},
                {"protocol", kControlProtocol},
                {"version", DMABUFFS_VERSION},
                {"operations", kOperations},
                {"mountpoint", context_.settings.mountpoint},
                {"device", context_.own_device.load()}});
}

bool ControlConnection::info(const Message& message) {
  const auto file = message.body.find("file");
  auto named = named_file(scope(), file == message.body.end() ? Json() : *file);
  if (!named) return reply(error_reply(named.error()));
  auto about = describe(*named->node, peer_.caller());
  return reply(about ? Json{{"ok", true}, {"info", *about}} : error_reply(about.error()));
}

bool ControlConnection::status() {
  auto text = read_status(find_, peer_.caller());
  if (!text) return reply(error_reply(text.error()));
  auto file = in_memory(*text);
  if (!file) return reply(error_reply(file.error()));
  const int fd = file->get();
  return reply({{"ok", true}, {"bytes", text->size()}}, {&fd, 1});
}

bool ControlConnection::copy(Message message) {
  const bool progress = flag_of(message.body, "progress");
  auto running = ControlCopy::make(scope(), message.body, std::move(message.fds));
  if (!running) {
    context_.engine.counters().refuse(running.error().message);
    return reply(error_reply(running.error()));
  }
  if (auto started = (*running)->start(); !started) return reply(error_reply(started.error()));
  if (!watch(**running, progress)) return false;
  return reply((*running)->reply());
}

bool ControlConnection::watch(ControlCopy& running, bool progress) {
  while (true) {
    const Wake wake = wait(running.event(), kProgressMs);
    // A client that has gone, or the mount's end: ~ControlCopy cancels and waits.
    if (wake == Wake::Ended || (wake == Wake::Message && !hear(running))) return false;
    if (running.acknowledge()) return true;
    if (!progress) continue;
    // A client that does not read its progress must not slow the copy: what does not fit is dropped.
    (void)send_message(socket_.get(), {{"progress", {{"bytes", running.done()}, {"total", running.total()}}}},
                       {},
                       /*wait=*/false);
  }
}

bool ControlConnection::hear(ControlCopy& running) {
  auto message = next(false);
  if (!message) return can_go_on(message.error()) && reply(error_reply(message.error()));
  if (!message->has_value()) return false;
  if (text_of((*message)->body, "op") == "cancel") {
    running.cancel();
    return true;
  }
  return reply(error_reply({EBUSY, "a copy is running on this connection; only \"cancel\" is understood"}));
}

}  // namespace dmabuffs
