// SPDX-License-Identifier: MIT
// The control socket of a real mount, spoken to as docs/control-socket.md says: files of the mount as ends.
#include <fcntl.h>
#include <sys/ioctl.h>
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

using namespace dmabuffs;

namespace {

int run(const std::vector<std::string>& words) {
  std::vector<char*> argv;
  for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  const pid_t child = ::fork();
  if (child == 0) {
    ::execv(argv[0], argv.data());
    ::_exit(127);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WEXITSTATUS(status);
}

std::string content(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

struct Mount {
  std::string work, at, heap;
  explicit Mount(const std::string& options = "") {
    char name[] = "/tmp/control-XXXXXX";
    REQUIRE(::mkdtemp(name) != nullptr);
    work = name;
    ::chmod(name, 0755);
    at = work + "/mnt";
    heap = at + "/heaps/memfd";
    std::filesystem::create_directory(at);
    std::filesystem::create_directory(work + "/data");
    std::vector<std::string> words{DMABUFFS_BINARY, "mount", "--files", "data=" + work + "/data"};
    if (!options.empty()) words.insert(words.end(), {"-o", options});
    words.push_back(at);
    REQUIRE(run(words) == 0);
  }
  ~Mount() {
    CHECK(run({DMABUFFS_BINARY, "umount", at}) == 0);
    std::filesystem::remove_all(work);
  }
  [[nodiscard]] UniqueFd connect() const {
    const Json status = Json::parse(content(at + "/status"));
    auto fd = connect_to(status["socket"].get<std::string>());
    REQUIRE(fd);
    return std::move(*fd);
  }
};

UniqueFd open_file(const std::string& path, int mode = O_RDWR) {
  UniqueFd fd(::open(path.c_str(), mode | O_CLOEXEC));
  REQUIRE(fd);
  return fd;
}

void write_file(const std::string& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

Json ask(const UniqueFd& client, const Json& request, const std::vector<int>& fds = {}) {
  REQUIRE(send_message(client.get(), request, fds));
  auto reply = receive_message(client.get());
  REQUIRE(reply);
  REQUIRE(reply->has_value());
  return (*reply)->body;
}

std::string code_of(const Json& reply) {
  return text_of(reply, "code").value_or("");
}

/// The ticket of an open file; empty without one, and then errno says why.
std::string ticket(const UniqueFd& file) {
  TicketBits bits;
  return ::ioctl(file.get(), kTicketRequest, bits.data()) == 0 ? to_text(bits) : "";
}

Json inside(const UniqueFd& from, const UniqueFd& to) {
  return {{"op", "copy"}, {"from", {{"ticket", ticket(from)}}}, {"to", {{"ticket", ticket(to)}}}};
}

}  // namespace

TEST_CASE("the control socket copies between files of the mount that are named by tickets") {
  const Mount mount;
  const std::string text(300001, 'z');
  write_file(mount.heap + "/a", text);
  write_file(mount.heap + "/b", "");
  write_file(mount.work + "/data/file", "");
  const UniqueFd a = open_file(mount.heap + "/a"), b = open_file(mount.heap + "/b", O_WRONLY);
  const UniqueFd file = open_file(mount.at + "/files/data/file");
  const UniqueFd client = mount.connect();
  CHECK(flag_of(ask(client, inside(a, file)), "ok"));
  CHECK(content(mount.work + "/data/file") == text);
  CHECK(flag_of(ask(client, inside(file, b)), "ok"));
  CHECK(content(mount.heap + "/b") == text);
  CHECK(code_of(ask(client, inside(a, a))) == "EINVAL");
}

TEST_CASE("the control socket tells the files of the mount apart") {
  const Mount mount;
  const UniqueFd client = mount.connect();
  // Whatever the numbers are: each of many files is the one that is meant.
  for (int i = 0; i < 20; ++i) {
    const std::string name = std::to_string(i);
    write_file(mount.work + "/data/" + name, "file " + name);
    write_file(mount.heap + "/" + name, "");
    const UniqueFd from = open_file(mount.at + "/files/data/" + name),
                   to = open_file(mount.heap + "/" + name);
    CHECK(flag_of(ask(client, inside(from, to)), "ok"));
    CHECK(content(mount.heap + "/" + name) == "file " + name);
  }
}

TEST_CASE("a ticket is good once, and while its file is open") {
  const Mount mount;
  write_file(mount.heap + "/a", "x");
  const UniqueFd client = mount.connect();
  UniqueFd a = open_file(mount.heap + "/a");
  const auto info = [&](const std::string& text) {
    return ask(client, {{"op", "info"}, {"file", {{"ticket", text}}}});
  };
  const std::string one = ticket(a), two = ticket(a);
  CHECK(one.size() == 32);
  CHECK(one != two);
  CHECK(flag_of(info(one), "ok"));
  CHECK(code_of(info(one)) == "ESTALE");
  CHECK(code_of(info(std::string(32, '0'))) == "ESTALE");
  a.reset();
  // The daemon hears of the close a moment after it.
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  CHECK(code_of(info(two)) == "ESTALE");
}

TEST_CASE("a ticket gives what its descriptor may do, and no more") {
  const Mount mount;
  write_file(mount.heap + "/a", "kept");
  write_file(mount.heap + "/b", "other");
  const UniqueFd client = mount.connect();
  const UniqueFd reading = open_file(mount.heap + "/a", O_RDONLY),
                 writing = open_file(mount.heap + "/a", O_WRONLY);
  const UniqueFd b = open_file(mount.heap + "/b"),
                 appending = open_file(mount.heap + "/b", O_WRONLY | O_APPEND);
  CHECK(code_of(ask(client, inside(b, reading))) == "EBADF");
  CHECK(code_of(ask(client, inside(writing, b))) == "EBADF");
  CHECK(code_of(ask(client, inside(reading, appending))) == "EINVAL");
  CHECK(content(mount.heap + "/a") == "kept");
  CHECK(content(mount.heap + "/b") == "other");
}

TEST_CASE("only an open regular file of the mount has a ticket") {
  const Mount mount;
  write_file(mount.heap + "/a", "x");
  write_file(mount.work + "/out", "");
  CHECK(ticket(open_file(mount.work + "/out")).empty());
  CHECK(errno == ENOTTY);
  CHECK(ticket(open_file(mount.heap, O_RDONLY | O_DIRECTORY)).empty());
  CHECK(errno == ENOTTY);
  // To walk to a file is no right to it.
  CHECK(ticket(open_file(mount.heap + "/a", O_PATH)).empty());
  CHECK(errno == EBADF);
  const UniqueFd status = open_file(mount.at + "/status", O_RDONLY), a = open_file(mount.heap + "/a");
  CHECK(code_of(ask(mount.connect(), inside(status, a))) == "EOPNOTSUPP");
  // Closing a passed descriptor of the mount asks the daemon for a FLUSH: it must not wait for itself.
  const Json passed{{"op", "copy"}, {"from", {{"fd", 0}}}, {"to", {{"ticket", ticket(a)}}}};
  const UniqueFd own = open_file(mount.heap + "/a");
  CHECK_FALSE(flag_of(ask(mount.connect(), passed, {own.get()}), "ok"));
  CHECK(content(mount.heap + "/a") == "x");
}

TEST_CASE("the control socket's info and status are those of the mount") {
  const Mount mount;
  write_file(mount.heap + "/a", "12345");
  const UniqueFd a = open_file(mount.heap + "/a", O_RDONLY), client = mount.connect();
  const Json reply = ask(client, {{"op", "info"}, {"file", {{"ticket", ticket(a)}}}});
  REQUIRE(flag_of(reply, "ok"));
  CHECK(text_of(reply["info"], "path") == std::string("heaps/memfd/a"));
  CHECK(number_of(reply["info"], "size") == uint64_t{5});

  REQUIRE(send_message(client.get(), {{"op", "status"}}));
  auto status = receive_message(client.get());
  REQUIRE(status);
  REQUIRE((*status)->fds.size() == 1);
  const int fd = (*status)->fds[0].get();
  std::string text(number_of((*status)->body, "bytes").value_or(0), '\0');
  CHECK(::pread(fd, text.data(), text.size(), 0) == static_cast<ssize_t>(text.size()));
  CHECK(Json::parse(text)["buffers"].size() == 1);
  CHECK(::ftruncate(fd, 0) != 0);
}
