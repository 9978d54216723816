// SPDX-License-Identifier: MIT
#include "dmabuffs/control/server/control.h"

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>

#include <array>
#include <list>
#include <thread>

#include "dmabuffs/base/log.h"
#include "dmabuffs/control/address.h"
#include "dmabuffs/control/server/connection.h"
#include "dmabuffs/control/server/porter.h"

namespace dmabuffs {

namespace {

constexpr int kPauseMs = 100;

/// The daemon's signals belong to its main thread.
class AllSignalsBlocked {
 public:
  AllSignalsBlocked() {
    sigset_t all;
    ::sigfillset(&all);
    ::sigdelset(&all, SIGBUS);  // base/bus_faults.h
    ::pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~AllSignalsBlocked() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  AllSignalsBlocked(const AllSignalsBlocked&) = delete;
  AllSignalsBlocked& operator=(const AllSignalsBlocked&) = delete;

 private:
  sigset_t before_{};
};

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
    Client& client = clients_.emplace_back();
    try {
      start_thread(client, std::move(message.fds.front()), peer_in(message.body));
    } catch (const std::exception& error) {
      clients_.pop_back();
      log_warning(std::string("control socket: no thread for a client: ") + error.what());
    }
  }

  void start_thread(Client& client, UniqueFd socket, Peer peer) {
    client.thread = std::thread([this, &client, socket = std::move(socket), peer]() mutable {
      try {
        ControlConnection(context_, find_, std::move(socket), peer, stop_.get()).serve();
      } catch (const std::exception& error) {
        log_warning(error.what());  // without a word more, which takes memory
      }
      client.ended.store(true);
    });
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
