// SPDX-License-Identifier: MIT
#include "dmabuffs/control/server/connection.h"

#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <array>

#include "dmabuffs/control/server/info.h"

namespace dmabuffs {

namespace {

constexpr int kSilenceMs = 5 * 60 * 1000;  // a forgotten client must not hold a thread for ever
constexpr int kProgressMs = 500;
constexpr std::array kOperations{"hello", "copy", "info", "status"};

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
  if (!reply({{"taken", true}})) return;
  while (wait(-1, kSilenceMs) == Wake::Message) {
    auto message = next();
    if (!message) {
      if (message.error().code == ECONNRESET || !reply(error_reply(message.error()))) return;
    } else if (!answer(std::move(*message))) {
      return;
    }
  }
}

/// ECONNRESET: the door has closed. Other errors are for the client.
Result<Message> ControlConnection::next() {
  Message message;
  const auto text = receive_text(socket_.get(), message.fds);
  if (!text && text.error().code == EMSGSIZE) return Failure(text.error());
  if (!text || !text->has_value()) return fail(ECONNRESET, "control socket: closed");
  message.body = Json::parse(**text, nullptr, /*allow_exceptions=*/false);
  if (message.body.is_array()) return Failure(error_of(message.body.at(0)));
  return message;
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
  const auto message = next();
  if (!message) return message.error().code != ECONNRESET && reply(error_reply(message.error()));
  if (text_of(message->body, "op") == "cancel") {
    running.cancel();
    return true;
  }
  return reply(error_reply({EBUSY, "a copy is running on this connection; only \"cancel\" is understood"}));
}

}  // namespace dmabuffs
