// SPDX-License-Identifier: MIT
// The control socket of a mount that is not mounted: everything but files of the mount itself
// (tests/mount/cp_*.sh).
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "catch.h"
#include "dmabuffs/control/address.h"
#include "dmabuffs/control/message.h"
#include "dmabuffs/control/server/control.h"
#include "unit/descriptors.h"

using namespace dmabuffs;

namespace {

MountSettings settings_for(const std::string& mountpoint, bool allow_other) {
  MountSettings settings;
  settings.mountpoint = mountpoint;
  settings.allow_other = allow_other;
  return settings;
}

struct Server {
  std::string work;
  std::unique_ptr<MountContext> context;
  std::unique_ptr<ControlSocket> socket;

  explicit Server(bool allow_other = false) {
    char name[] = "/tmp/control-XXXXXX";
    REQUIRE(::mkdtemp(name) != nullptr);
    work = name;
    context = std::make_unique<MountContext>(settings_for(work + "/mnt", allow_other));
    auto made = ControlSocket::make(*context, [](uint64_t) { return NodePtr(); });
    REQUIRE(made);
    socket = std::move(*made);
    socket->start();
  }
  ~Server() {
    socket->stop();
    std::filesystem::remove_all(work);
  }
  [[nodiscard]] UniqueFd connect() const {
    auto fd = connect_to(socket->path());
    REQUIRE(fd);
    return std::move(*fd);
  }
  [[nodiscard]] std::string file(const std::string& name, const std::string& content) const {
    std::ofstream(work + "/" + name) << content;
    return work + "/" + name;
  }
};

Json next(const UniqueFd& client) {
  auto message = receive_message(client.get());
  REQUIRE(message);
  REQUIRE(message->has_value());
  return (*message)->body;
}

Json ask(const UniqueFd& client, const Json& request, const std::vector<int>& fds = {}) {
  REQUIRE(send_message(client.get(), request, fds));
  return next(client);
}

std::string code_of(const Json& reply) {
  return text_of(reply, "code").value_or("");
}

std::string content(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

const Json kCopy{{"op", "copy"}, {"from", {{"fd", 0}}}, {"to", {{"fd", 1}}}};

bool soon(const std::function<bool()>& holds) {
  for (int i = 0; i < 300; ++i) {
    if (holds()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

/// A copy that takes long whatever the disk: 1 TiB of hole.
struct LongCopy {
  UniqueFd from, to;
  explicit LongCopy(const Server& server) {
    from.reset(::open(server.file("huge", "").c_str(), O_RDWR | O_CLOEXEC));
    to.reset(::open(server.file("huge.copy", "").c_str(), O_WRONLY | O_CLOEXEC));
    REQUIRE(::ftruncate(from.get(), off_t{1} << 40) == 0);
  }
  [[nodiscard]] std::vector<int> fds() const { return {from.get(), to.get()}; }
};

}  // namespace

TEST_CASE("the control socket says hello") {
  const Server server;
  const Json reply = ask(server.connect(), {{"op", "hello"}});
  CHECK(flag_of(reply, "ok"));
  CHECK(number_of(reply, "protocol") == uint64_t{kControlProtocol});
  CHECK(text_of(reply, "mountpoint") == server.work + "/mnt");
  CHECK(server.context->control_socket == server.socket->path());
}

TEST_CASE("the control socket copies between passed files and tells how") {
  const Server server;
  const std::string text(100000, 'q');
  const UniqueFd from(::open(server.file("from", text).c_str(), O_RDONLY | O_CLOEXEC));
  const UniqueFd to(::open(server.file("to", "").c_str(), O_WRONLY | O_CLOEXEC));
  const UniqueFd client = server.connect();
  const Json reply = ask(client, kCopy, {from.get(), to.get()});
  CHECK(flag_of(reply, "ok"));
  CHECK(number_of(reply, "bytes") == uint64_t{100000});
  CHECK(reply["paths"] == Json{{"file-copy", 100000}});
  CHECK(content(server.work + "/to") == text);

  SECTION("a part of it, to another place, on the same connection") {
    const Json part{{"op", "copy"},
                    {"from", {{"fd", 1}, {"offset", 99990}}},
                    {"to", {{"fd", 0}, {"offset", 100010}}},
                    {"length", 3}};
    const Json second = ask(client, part, {to.get(), from.get()});
    CHECK(number_of(second, "bytes") == uint64_t{3});
    CHECK(content(server.work + "/to") == text + std::string(10, '\0') + "qqq");
  }
  SECTION("a length that is none copies nothing") {
    for (const Json& length : {Json(-5), Json("10"), Json(10.5), Json()}) {
      Json request = kCopy;
      request["length"] = length;
      CHECK(code_of(ask(client, request, {from.get(), to.get()})) == "EINVAL");
    }
  }
  SECTION("from beyond the end nothing") {
    Json request = kCopy;
    request["from"]["offset"] = 200000;
    const Json second = ask(client, request, {from.get(), to.get()});
    CHECK(flag_of(second, "ok"));
    CHECK(number_of(second, "bytes") == uint64_t{0});
  }
}

TEST_CASE("the control socket refuses descriptors that do not fit the copy") {
  const Server server;
  const std::string path = server.file("a", "aaaa"), other = server.file("b", "bbbb");
  const UniqueFd reading(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  const UniqueFd writing(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  const UniqueFd target(::open(other.c_str(), O_WRONLY | O_CLOEXEC));
  const UniqueFd appending(::open(other.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC));
  const UniqueFd path_only(::open(path.c_str(), O_PATH | O_CLOEXEC));
  const UniqueFd device(::open("/dev/null", O_RDWR | O_CLOEXEC));
  const UniqueFd client = server.connect();
  const auto answer = [&](int from, int to) { return code_of(ask(client, kCopy, {from, to})); };
  CHECK(answer(writing.get(), target.get()) == "EBADF");
  CHECK(answer(reading.get(), reading.get()) == "EBADF");
  CHECK(answer(path_only.get(), target.get()) == "EBADF");
  CHECK(answer(reading.get(), appending.get()) == "EINVAL");
  CHECK(answer(device.get(), target.get()) == "EINVAL");
  CHECK(answer(reading.get(), device.get()) == "EINVAL");
  CHECK(answer(client.get(), target.get()) == "EINVAL");
  CHECK(answer(reading.get(), writing.get()) == "EINVAL");  // the same file
  CHECK(content(path) == "aaaa");
  CHECK(content(other) == "bbbb");

  Json request = kCopy;
  request["from"]["direct_fd"] = 2;
  CHECK(code_of(ask(client, request, {reading.get(), target.get(), target.get()})) == "EINVAL");
  CHECK(code_of(ask(client, request, {reading.get(), target.get(), reading.get()})) ==
        "EINVAL");  // not O_DIRECT
  CHECK(code_of(ask(client, request, {reading.get(), target.get()})) == "EINVAL");
  CHECK(code_of(ask(client, kCopy, {reading.get()})) == "EINVAL");
  CHECK(code_of(ask(client, kCopy)) == "EINVAL");
  CHECK(flag_of(ask(client, kCopy, {reading.get(), target.get()}), "ok"));
}

TEST_CASE("the control socket survives requests that make no sense") {
  const Server server;
  const UniqueFd client = server.connect();
  const std::vector<Json> nonsense{
      {{"op", "copy"}},
      {{"op", "copy"}, {"from", 1}, {"to", "x"}},
      {{"op", "copy"}, {"from", {{"fd", -1}}}, {"to", {{"fd", 1e300}}}},
      {{"op", "copy"}, {"from", {{"fd", 0}, {"ticket", ""}}}, {"to", Json::object()}},
      {{"op", "info"}},
      {{"op", "info"}, {"file", Json::array()}},
      {{"op", "info"}, {"file", {{"ticket", 3}}}}};
  for (const Json& request : nonsense) CHECK(code_of(ask(client, request)) == "EINVAL");
  const Json unknown = ask(client, {{"op", "fly"}});
  CHECK(code_of(unknown) == "EOPNOTSUPP");
  CHECK(unknown["operations"].size() >= 4);
  CHECK(code_of(ask(client, {{"op", 5}})) == "EOPNOTSUPP");
  REQUIRE(::send(client.get(), "garbage", 7, 0) == 7);
  CHECK(code_of(next(client)) == "EBADMSG");
  const std::string longer(kMaxMessageBytes + 100, ' ');
  REQUIRE(::send(client.get(), longer.data(), longer.size(), 0) == static_cast<ssize_t>(longer.size()));
  CHECK(code_of(next(client)) == "EMSGSIZE");
  REQUIRE(send_message(client.get(), {{"op", "cancel"}}));  // nothing runs: no answer
  CHECK(flag_of(ask(client, {{"op", "hello"}}), "ok"));
}

TEST_CASE("messages that are refused are answered in their turn, once") {
  const Server server;
  const UniqueFd client = server.connect();
  const std::vector<int> pair{client.get(), client.get()};
  REQUIRE(send_message(client.get(), {{"op", "hello"}}));
  REQUIRE(::send(client.get(), "[1]", 3, 0) == 3);
  REQUIRE(send_message(client.get(), kCopy, pair));
  REQUIRE(send_message(client.get(), {{"op", "hello"}}, {&pair[0], 1}));
  CHECK(flag_of(next(client), "ok"));
  CHECK(code_of(next(client)) == "EBADMSG");
  CHECK(code_of(next(client)) == "EINVAL");
  CHECK(flag_of(next(client), "ok"));
  CHECK(code_of(ask(client, {{"op", "fly"}})) == "EOPNOTSUPP");
}

TEST_CASE("descriptors that no request asks for are borne until there are too many") {
  const Server server;
  const UniqueFd client = server.connect();
  const UniqueFd unwanted(::open("/", O_PATH | O_CLOEXEC));
  const std::vector<int> fds(kMaxMessageFds, unwanted.get());
  REQUIRE(flag_of(ask(client, {{"op", "hello"}}), "ok"));
  const size_t before = open_descriptors();
  for (int i = 0; i < 32; ++i) REQUIRE(flag_of(ask(client, {{"op", "hello"}}, fds), "ok"));
  CHECK(open_descriptors() == before);  // not in this process
  REQUIRE(send_message(client.get(), {{"op", "hello"}}, fds));
  CHECK_FALSE(receive_message(client.get())->has_value());
  CHECK(flag_of(ask(server.connect(), {{"op", "hello"}}), "ok"));
}

TEST_CASE("the control socket takes no open file of its own mount") {
  const Server server;
  const UniqueFd from(::open(server.file("from", "x").c_str(), O_RDONLY | O_CLOEXEC));
  const UniqueFd to(::open(server.file("to", "").c_str(), O_WRONLY | O_CLOEXEC));
  struct stat st {};
  REQUIRE(::fstat(from.get(), &st) == 0);
  server.context->own_device = st.st_dev;  // as if the files lay in the mount
  CHECK(code_of(ask(server.connect(), kCopy, {from.get(), to.get()})) == "EXDEV");
}

TEST_CASE("a cancelled copy ends within a second and tells the bytes it has stored") {
  const Server server;
  const LongCopy copy(server);
  const UniqueFd client = server.connect();
  Json request = kCopy;
  request["progress"] = true;
  REQUIRE(send_message(client.get(), request, copy.fds()));
  Json reply = next(client);
  CHECK(reply.contains("progress"));
  CHECK(number_of(reply["progress"], "total") == uint64_t{1} << 40);
  const auto start = std::chrono::steady_clock::now();
  REQUIRE(send_message(client.get(), {{"op", "cancel"}}));
  while (reply.contains("progress")) reply = next(client);
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(1));
  CHECK(code_of(reply) == "EINTR");
  const auto bytes = number_of(reply, "bytes").value_or(0);
  CHECK(std::filesystem::file_size(server.work + "/huge.copy") == bytes);
  CHECK(flag_of(ask(client, {{"op", "hello"}}), "ok"));
}

TEST_CASE("a copy whose client is busy with other requests goes on") {
  const Server server;
  const LongCopy copy(server);
  const UniqueFd client = server.connect();
  REQUIRE(send_message(client.get(), kCopy, copy.fds()));
  CHECK(code_of(ask(client, {{"op", "hello"}})) == "EBUSY");
  CHECK(code_of(ask(client, {{"op", "cancel"}})) == "EINTR");
}

TEST_CASE("a client that vanishes in mid-copy leaves nothing behind") {
  const Server server;
  const LongCopy copy(server);
  const size_t before = open_descriptors();
  {
    const UniqueFd client = server.connect();
    REQUIRE(send_message(client.get(), kCopy, copy.fds()));
    REQUIRE(soon([&] { return std::filesystem::file_size(server.work + "/huge.copy") > 0; }));
  }
  CHECK(soon([&] { return open_descriptors() == before; }));
  const auto size = std::filesystem::file_size(server.work + "/huge.copy");
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  CHECK(std::filesystem::file_size(server.work + "/huge.copy") == size);
}

TEST_CASE("the end of a mount ends its copies and removes its control socket") {
  const Server server;
  const LongCopy copy(server);
  const UniqueFd client = server.connect(), idle = server.connect();
  REQUIRE(send_message(client.get(), kCopy, copy.fds()));
  REQUIRE(soon([&] { return std::filesystem::file_size(server.work + "/huge.copy") > 0; }));
  const std::string path = server.socket->path();
  const auto start = std::chrono::steady_clock::now();
  server.socket->stop();
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(1));
  CHECK(::access(path.c_str(), F_OK) != 0);
  const auto last = receive_message(idle.get());  // a refusal where it was being taken just then
  CHECK((!last || !last->has_value() || code_of((*last)->body) == "EMFILE"));
}

TEST_CASE("the control socket has room for a bounded number of clients at once") {
  const Server server;
  std::vector<UniqueFd> clients;
  for (int i = 0; i < 64; ++i) {
    clients.push_back(server.connect());
    CHECK(flag_of(ask(clients.back(), {{"op", "hello"}}), "ok"));
  }
  const UniqueFd late = server.connect();
  CHECK(code_of(next(late)) == "EBUSY");
  for (int i = 0; i < 20; ++i) {  // whether the request or the refusal comes first
    const UniqueFd hasty = server.connect();
    (void)send_message(hasty.get(), {{"op", "hello"}});
    CHECK(code_of(next(hasty)) == "EBUSY");
  }
  clients.clear();
  CHECK(soon([&] {
    const UniqueFd again = server.connect();
    if (!send_message(again.get(), {{"op", "hello"}})) return false;
    const auto reply = receive_message(again.get());
    return reply && reply->has_value() && flag_of((*reply)->body, "ok");
  }));
}

/// The code of the reply to "hello" for another user: 0 ok, else an errno; forks, because only a whole
/// process can change its user.
int hello_as(uid_t uid, const std::string& path) {
  const pid_t child = ::fork();
  if (child == 0) {
    if (::setgid(uid) != 0 || ::setuid(uid) != 0) ::_exit(255);
    const auto client = connect_to(path);
    if (!client) ::_exit(client.error().code);
    (void)send_message(client->get(), {{"op", "hello"}});
    const auto reply = receive_message(client->get());
    if (!reply || !reply->has_value()) ::_exit(254);
    ::_exit(flag_of((*reply)->body, "ok") ? 0 : error_of((*reply)->body).code);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  return WEXITSTATUS(status);
}

TEST_CASE("the control socket serves other users only where the mount does") {
  if (::geteuid() != 0) return;  // only root can become somebody else
  constexpr uid_t kOther = 65534;
  SECTION("a mount for its owner") {
    const Server server(false);
    CHECK(hello_as(kOther, server.socket->path()) == EACCES);
    // Were the file's mode wrong, the credentials would still be looked at.
    REQUIRE(::chmod(server.socket->path().c_str(), 0666) == 0);
    CHECK(hello_as(kOther, server.socket->path()) == EACCES);
    CHECK(hello_as(0, server.socket->path()) == 0);
  }
  SECTION("a mount with allow_other") {
    const Server server(true);
    CHECK(hello_as(kOther, server.socket->path()) == 0);
  }
}
