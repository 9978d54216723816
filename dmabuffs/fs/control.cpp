// SPDX-License-Identifier: MIT
#include "dmabuffs/fs/control.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <array>
#include <list>
#include <thread>

#include "dmabuffs/base/log.h"
#include "dmabuffs/fs/control_address.h"
#include "dmabuffs/fs/control_connection.h"
#include "dmabuffs/fs/descriptor_gate.h"

namespace dmabuffs {

namespace {

constexpr size_t kMaxConnections = 64;
// So that one user of an allow_other mount can't shut the others out.
constexpr size_t kMaxConnectionsPerUser = 16;
constexpr int kPauseMs = 100;

/// The daemon's signals belong to its main thread.
class AllSignalsBlocked {
 public:
  AllSignalsBlocked() {
    sigset_t all;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~AllSignalsBlocked() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  AllSignalsBlocked(const AllSignalsBlocked&) = delete;
  AllSignalsBlocked& operator=(const AllSignalsBlocked&) = delete;

 private:
  sigset_t before_{};
};

class Listener : public ControlSocket {
 public:
  Listener(MountContext& context, FindNode find, ListeningSocket socket, UniqueFd stop,
           std::unique_ptr<DescriptorGate> gate)
      : context_(context),
        find_(std::move(find)),
        gate_(std::move(gate)),
        socket_(std::move(socket)),
        stop_(std::move(stop)) {}
  ~Listener() override { stop(); }

  void start() override {
    const AllSignalsBlocked blocked;
    acceptor_ = std::thread([this] { accept_clients(); });
  }

  void stop() override {
    if (!socket_.fd) return;
    (void)::eventfd_write(stop_.get(), 1);  // never read back: everyone who polls sees it
    if (acceptor_.joinable()) acceptor_.join();
    remove_socket(socket_);  // whether or not a client's thread ends
    for (Client& client : clients_) client.thread.join();
    clients_.clear();
    socket_.fd.reset();
  }

  [[nodiscard]] const std::string& path() const override { return socket_.path; }

 private:
  struct Client {
    uid_t uid;
    std::atomic<bool> ended{false};
    std::thread thread;
  };

  void accept_clients() {
    while (true) {
      std::array<pollfd, 2> polled{{{socket_.fd.get(), POLLIN, 0}, {stop_.get(), POLLIN, 0}}};
      if (::poll(polled.data(), polled.size(), -1) < 0 && errno != EINTR) return;
      if (polled[1].revents) return;
      if (!polled[0].revents) continue;
      UniqueFd client(::accept4(socket_.fd.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (client) {
        welcome(std::move(client));
      } else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM) {
        log_warning(std::string("control socket: ") + std::strerror(errno));
        turn_away(errno);
        (void)::poll(&polled[1], 1, kPauseMs);  // there may be more of them
      }
    }
  }

  /// Without a descriptor for him a client would wait for ever, in the queue, with the files that he sent.
  void turn_away(int why) {
    spare_.reset();
    if (UniqueFd client{::accept4(socket_.fd.get(), nullptr, nullptr, SOCK_CLOEXEC)})
      (void)send_message(
          client.get(),
          error_reply({why, context_.settings.mountpoint + ": the daemon has no file descriptor " +
                                "left (see its ulimit -n); close files of the mount and try again"}),
          {}, /*wait=*/false);
    spare_ = open_spare();
  }

  static UniqueFd open_spare() { return UniqueFd(::open("/dev/null", O_RDONLY | O_CLOEXEC)); }

  void welcome(UniqueFd socket) {
    forget_ended();
    auto peer = peer_of(socket.get());
    const auto refused = peer ? refusal(*peer) : std::optional(peer.error());
    if (refused) {
      (void)send_message(socket.get(), error_reply(*refused), {}, /*wait=*/false);
      return;
    }
    try {
      Client& client = clients_.emplace_back();
      client.uid = peer->uid;
      start_thread(client, std::move(socket), std::move(*peer));
    } catch (const std::exception& error) {
      clients_.pop_back();
      log_warning(std::string("control socket: no thread for a client: ") + error.what());
    }
  }

  void start_thread(Client& client, UniqueFd socket, Peer peer) {
    client.thread = std::thread([this, &client, socket = std::move(socket),
                                 peer = std::move(peer)]() mutable {
      try {
        ControlConnection(context_, find_, *gate_, std::move(socket), std::move(peer), stop_.get()).serve();
      } catch (const std::exception& error) {
        log_warning(std::string("control socket: a connection ended: ") + error.what());
      }
      client.ended.store(true);
    });
  }

  [[nodiscard]] std::optional<Error> refusal(const Peer& peer) const {
    if (!may_connect(peer, context_))
      return Error{EACCES,
                   context_.settings.mountpoint + ": serves its owner only (mount with -o allow_other)"};
    size_t of_user = 0;
    for (const Client& client : clients_) of_user += client.uid == peer.uid;
    const bool trusted = is_trusted(peer, context_);
    if (clients_.size() >= kMaxConnections || (!trusted && of_user >= kMaxConnectionsPerUser))
      return Error{EBUSY, context_.settings.mountpoint + ": too many transfers at once; try again later"};
    return std::nullopt;
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
  std::unique_ptr<DescriptorGate> gate_;
  ListeningSocket socket_;
  UniqueFd stop_;
  UniqueFd spare_ = open_spare();  // the acceptor's, see turn_away()
  std::thread acceptor_;
  std::list<Client> clients_;  // the acceptor's; stop() has it after the acceptor's end
};

}  // namespace

Result<std::unique_ptr<ControlSocket>> ControlSocket::make(MountContext& context, FindNode find) {
  UniqueFd stop(::eventfd(0, EFD_CLOEXEC));
  if (!stop) return fail_errno(errno, "control socket");
  auto gate = DescriptorGate::make();
  if (!gate) return pass(std::move(gate));
  auto socket = listen_at(context.settings.mountpoint, context.owner_uid, context.settings.allow_other);
  if (!socket) return pass(std::move(socket));
  context.control_socket = socket->path;
  return std::make_unique<Listener>(context, std::move(find), std::move(*socket), std::move(stop),
                                    std::move(*gate));
}

}  // namespace dmabuffs
