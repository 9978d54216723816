// SPDX-License-Identifier: MIT
#include "fuzz/control.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <string>
#include <thread>
#include <vector>

#include "dmabuffs/control/address.h"
#include "dmabuffs/control/client.h"
#include "dmabuffs/control/server/connection.h"
#include "dmabuffs/tree/heaps/directory.h"
#include "fuzz/demand.h"

namespace dmabuffs::fuzz {

namespace {

constexpr size_t kMostMessages = 8;  // a queue of a socket has room for their replies
constexpr off_t kFileBytes = 4096;
const dev_t kDevice = makedev(0, 77);

std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty() && lines.size() < kMostMessages) {
    const size_t end = std::min(text.find('\n'), text.size());
    lines.emplace_back(text.substr(0, std::min(end, kMaxMessageBytes)));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

struct Pair {
  UniqueFd ours, theirs;
  Pair() {
    std::array<int, 2> ends{};
    demand(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) == 0, "there is a socket");
    ours.reset(ends[0]);
    theirs.reset(ends[1]);
  }
};

/// A daemon without a mount, with one buffer.
class Daemon {
 public:
  Daemon() {
    context_.heaps = HeapRegistry::make(context_.budget, {{"memfd", {}}}).value();
    top_ = std::make_shared<HeapDirectory>(
        std::make_shared<HeapTree>(context_, context_.heaps->find("memfd")), std::weak_ptr<Node>());
    buffer_.node = top_->mknod(me_.caller(), "buffer", S_IFREG | 0600, 0).value();
    buffer_.open = buffer_.node->open(me_.caller(), O_RDWR).value();
    buffer_.flags = O_RDWR;
    files_[0].reset(::memfd_create("from", MFD_CLOEXEC));
    files_[1].reset(::memfd_create("to", MFD_CLOEXEC));
    files_[2].reset(::open("/dev/null", O_RDWR | O_CLOEXEC));
    files_[3].reset(::open("/", O_PATH | O_CLOEXEC));
    files_[4].reset(::eventfd(0, EFD_CLOEXEC));
  }

  void serve(const std::vector<std::string>& lines) {
    for (const int i : {0, 1}) demand(::ftruncate(files_[i].get(), kFileBytes) == 0, "a file can be cut");
    Pair pair;
    for (const std::string& line : lines) send(pair.theirs.get(), line);
    ::shutdown(pair.theirs.get(), SHUT_WR);
    ControlConnection(context_, find_, std::move(pair.ours), me_, stop_.get()).serve();
    while (true) {
      const auto reply = receive_message(pair.theirs.get());
      demand(reply.has_value(), "what the server says is a message");
      if (!reply->has_value()) return;
      demand((*reply)->fds.size() <= 1, "a reply has one descriptor at most");
    }
  }

 private:
  /// As the door hands it on (control/server/door.h).
  void send(int socket, std::string line) {
    std::vector<int> fds;
    if (!line.empty() && line[0] >= '0' && line[0] <= '9') {
      for (int i = 0; i < line[0] - '0'; ++i)
        fds.push_back(files_[static_cast<size_t>(i) % files_.size()].get());
      line.erase(0, 1);
    }
    for (size_t at = line.find("TICKET"); at != std::string::npos; at = line.find("TICKET", at + 1)) {
      const auto bits = context_.tickets.issue(me_.uid, buffer_);
      if (bits) line.replace(at, std::string_view("TICKET").size(), to_text(*bits));
    }
    const auto message = parse_message(line);
    if (!message) line = to_text(Json::array({error_reply(message.error())}));
    (void)send_text(socket, line, fds, /*wait=*/false);
  }

  MountContext context_{MountSettings{}};
  const ControlSocket::FindNode find_ = [](uint64_t) { return NodePtr(); };
  const Peer me_{::geteuid(), ::getegid(), ::getpid()};
  const UniqueFd stop_{::eventfd(0, EFD_CLOEXEC)};
  std::shared_ptr<HeapDirectory> top_;
  Tickets::OpenedFile buffer_;
  std::array<UniqueFd, 5> files_;
};

/// The other end of a client's connection: it is told all at once.
class Impostor {
 public:
  Impostor() {
    mount_.path = "/nowhere/fuzz-" + std::to_string(::getpid());
    mount_.owner = ::geteuid();
    mount_.device = kDevice;
    auto listening = listen_at(mount_.path, mount_.owner, false);
    demand(listening.has_value(), "a socket can be listened at");
    socket_ = std::move(*listening);
  }
  ~Impostor() { remove_socket(socket_); }
  Impostor(const Impostor&) = delete;
  Impostor& operator=(const Impostor&) = delete;

  void answer(const std::vector<std::string>& lines) {
    std::thread daemon([&] { play(lines); });
    ask();
    daemon.join();
  }

 private:
  void play(const std::vector<std::string>& lines) {
    pollfd waiting{socket_.fd.get(), POLLIN, 0};
    demand(::poll(&waiting, 1, -1) == 1, "a client comes");
    const UniqueFd client(::accept4(socket_.fd.get(), nullptr, nullptr, SOCK_CLOEXEC));
    for (const std::string& line : lines) (void)send_text(client.get(), line, {}, /*wait=*/false);
    ::shutdown(client.get(), SHUT_WR);
    std::vector<UniqueFd> ignored;
    while (receive_text(client.get(), ignored).value_or(std::nullopt)) continue;
  }

  void ask() {
    auto client = ControlClient::connect(mount_);
    for (size_t i = 0; client && i < kMostMessages; ++i) {
      uint64_t told = 0;
      ControlClient::Waiting waiting;
      waiting.progress = [&told](uint64_t bytes, uint64_t total) { told += bytes + total; };
      const auto reply = client->request({{"op", "descriptor"}}, {}, waiting);
      if (!reply) return;
      read(reply->body);
    }
  }

  /// All that the commands do with an answer.
  static void read(const Json& body) {
    (void)printable(error_of(body).message);
    for (const char* key : {"size", "capacity", "inode", "bytes"}) (void)number_of(body, key);
    for (const char* key : {"heap", "exporter", "code"}) (void)text_of(body, key);
    const auto info = body.find("info");
    const Json copy = info == body.end() ? body : *info;
    (void)to_text(copy, 2);
  }

  MountEntry mount_;
  ListeningSocket socket_;
};

}  // namespace

void control(std::string_view input) {
  std::vector<std::string> lines = lines_of(input);
  if (lines.empty()) return;
  const std::string whom = lines.front();
  lines.erase(lines.begin());
  if (whom == "server") {
    static Daemon daemon;
    daemon.serve(lines);
  } else if (whom == "client" || whom == "hello") {
    static Impostor impostor;
    if (whom == "client") lines.insert(lines.begin(), to_text({{"ok", true}, {"device", kDevice}}));
    impostor.answer(lines);
  }
}

}  // namespace dmabuffs::fuzz
