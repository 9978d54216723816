// SPDX-License-Identifier: MIT
#include "dmabuffs/control/server/control.h"

#include <poll.h>
#include <sys/eventfd.h>

#include <array>
#include <list>
#include <new>
#include <system_error>
#include <thread>

#include "dmabuffs/base/blocked_signals.h"
#include "dmabuffs/base/log.h"
#include "dmabuffs/control/address.h"
#include "dmabuffs/control/server/connection.h"
#include "dmabuffs/control/server/porter.h"

namespace dmabuffs {

namespace {

constexpr int kPauseMs = 100;

/// A client's own socket never comes into this process (control/server/porter.h).
class Listener : public ControlSocket {
 public:
  Listener(MountContext& context, FindNode find, ListeningSocket socket, UniqueFd stop, UniqueFd porter)
      : context_(context),
        find_(std::move(find)),
        porter_(std::move(porter)),
        socket_(std::move(socket)),
        stop_(std::move(stop)) {}
  ~Listener() override { stop(); }

  void start() override {
    const AllSignalsBlocked blocked;
    acceptor_ = std::thread([this] { accept_clients(); });
  }

  void stop() override {
    if (!porter_) return;
    (void)::eventfd_write(stop_.get(), 1);  // never read back: everyone who polls sees it
    if (acceptor_.joinable()) acceptor_.join();
    remove_socket(socket_);  // whether or not a client's thread ends
    for (Client& client : clients_) client.thread.join();
    clients_.clear();
    porter_.reset();
  }

  [[nodiscard]] const std::string& path() const override { return socket_.path; }

 private:
  struct Client {
    std::atomic<bool> ended{false};
    std::thread thread;
  };

  void accept_clients() {
    while (true) {
      std::array<pollfd, 2> polled{{{porter_.get(), POLLIN, 0}, {stop_.get(), POLLIN, 0}}};
      if (::poll(polled.data(), polled.size(), -1) < 0 && errno != EINTR) return;
      if (polled[1].revents) return;
      if (!polled[0].revents) continue;
      try {
        if (!take_client()) return;
      } catch (const std::exception&) {  // whose descriptors are closed by then; its door tells it so
        log_warning("control socket: no memory for a client");
        (void)::poll(&polled[1], 1, kPauseMs);
      }
    }
  }

  /// False when there will be no more.
  bool take_client() {
    auto message = receive_message(porter_.get());
    if (message && !message->has_value()) {
      log_error("control socket: the process that takes its clients has ended; mount anew");
      return false;
    }
    if (message && !(*message)->fds.empty()) {
      welcome(std::move(**message));
    } else if (message) {
      log_warning("control socket: " + text_of((*message)->body, "note").value_or(""));
    } else {  // without a descriptor for it, and its door tells the client so
      log_warning("control socket: no connection: " + message.error().message);
      pollfd stopped{stop_.get(), POLLIN, 0};
      (void)::poll(&stopped, 1, kPauseMs);  // there may be more of them
    }
    return true;
  }

  void welcome(Message message) {
    forget_ended();
    UniqueFd socket = std::move(message.fds.front());
    const int client = socket.get();
    try {
      start_thread(socket, peer_in(message.body));
    } catch (const std::system_error& error) {
      const std::string why = std::string("no thread for another client: ") + error.what();
      log_warning("control socket: " + why);
      (void)send_message(
          client,
          error_reply({error.code().value(),
                       context_.settings.mountpoint + ": the daemon has " + why + "; try again later"}),
          {}, /*wait=*/false);
    } catch (const std::bad_alloc&) {
      send_no_memory(client);
      throw;
    }
  }

  /// The socket is the thread's, once there is one.
  void start_thread(UniqueFd& socket, Peer peer) {
    Client& client = clients_.emplace_back();
    try {
      client.thread = std::thread([this, &client, fd = socket.get(), peer]() mutable {
        ControlConnection(context_, find_, UniqueFd(fd), peer, stop_.get()).serve();
        client.ended.store(true);
      });
    } catch (...) {
      clients_.pop_back();
      throw;
    }
    (void)socket.release();
  }

  void forget_ended() {
    for (auto client = clients_.begin(); client != clients_.end();) {
      if (!client->ended) {
        ++client;
        continue;
      }
      client->thread.join();
      client = clients_.erase(client);
    }
  }

  MountContext& context_;
  FindNode find_;
  UniqueFd porter_;
  ListeningSocket socket_;
  UniqueFd stop_;
  std::thread acceptor_;
  std::list<Client> clients_;  // the acceptor's; stop() has it after the acceptor's end
};

}  // namespace

Result<std::unique_ptr<ControlSocket>> ControlSocket::make(MountContext& context, FindNode find) {
  UniqueFd stop(::eventfd(0, EFD_CLOEXEC));
  if (!stop) return fail_errno(errno, "control socket");
  auto socket = TRY(listen_at(context.settings.mountpoint, context.owner_uid, context.settings.allow_other));
  auto porter = TRY(start_porter(context, std::move(socket.fd)));
  context.control_socket = socket.path;
  return std::make_unique<Listener>(context, std::move(find), std::move(socket), std::move(stop),
                                    std::move(porter));
}

}  // namespace dmabuffs
