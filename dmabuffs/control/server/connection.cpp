// SPDX-License-Identifier: MIT
#include "dmabuffs/control/server/connection.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <array>
#include <new>

#include "dmabuffs/base/io.h"
#include "dmabuffs/base/log.h"
#include "dmabuffs/control/server/about_buffer.h"
#include "dmabuffs/heap/dmabuf_storage.h"
#include "dmabuffs/heap/memfd_heap.h"

namespace dmabuffs {

namespace {

constexpr uint64_t kRootNode = 1;

}  // namespace

Result<std::string> read_status(const ControlSocket::FindNode& find, const Caller& caller) {
  const NodePtr root = find(kRootNode);
  if (!root) return fail(ENOENT, "status: the mount has no root any more");
  auto node = TRY(root->lookup(caller, "status"));
  auto open = TRY(node->open(caller, O_RDONLY));
  std::string text;
  constexpr size_t kStep = 64 * 1024;
  while (true) {
    const size_t done = text.size();
    text.resize(done + kStep);
    auto got = TRY(open->read(done, std::as_writable_bytes(std::span(text).subspan(done))));
    text.resize(done + got);
    if (got == 0) return text;
  }
}

namespace {

constexpr int kSilenceMs = 5 * 60 * 1000;  // a forgotten client must not hold a thread for ever
constexpr int kProgressMs = 500;
constexpr std::array kOperations{"hello",  "copy",   "info",   "descriptor",
                                 "import", "create", "format", "status"};

/// The text in a sealed memory file: longer than a message can be.
Result<UniqueFd> in_memory(const std::string& text) {
  auto fd = TRY(make_memfd("dmabuffs-status", PageSize::Small));
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
  if (again([&] { return ::poll(polled.data(), polled.size(), milliseconds); }) < 0 || polled[1].revents)
    return Wake::Ended;
  return polled[0].revents ? Wake::Message : Wake::Timeout;
}

void ControlConnection::serve() {
  try {
    answer_all();
  } catch (const std::bad_alloc& error) {
    log_warning(error.what());
    send_no_memory(socket_.get());
  } catch (const std::exception& error) {
    log_warning(error.what());
  }
}

void ControlConnection::answer_all() {
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
  if (operation == "status") return status();
  if (is_about_buffer(operation)) return about_buffer(operation, std::move(message));
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

bool ControlConnection::about_buffer(const std::string& operation, Message message) {
  const auto answer = answer_about_buffer(operation, scope(), std::move(message));
  if (!answer) return reply(error_reply(answer.error()));
  const int fd = answer->fd.get();
  return reply(answer->body, {&fd, size_t{answer->fd ? 1U : 0U}});
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
