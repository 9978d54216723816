// SPDX-License-Identifier: MIT
// The control socket of a real mount, spoken to as docs/control-socket.md says: files of the mount as ends.
#include <fcntl.h>
#include <grp.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "catch.h"
#include "dmabuffs/fs/control_address.h"
#include "dmabuffs/fs/control_message.h"

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

UniqueFd open_path(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_PATH | O_CLOEXEC));
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

const Json kInside{{"op", "copy"}, {"from", {{"path_fd", 0}}}, {"to", {{"path_fd", 1}}}};

}  // namespace

TEST_CASE("the control socket copies between files of the mount that are named by O_PATH descriptors") {
  const Mount mount;
  const std::string text(300001, 'z');
  write_file(mount.heap + "/a", text);
  write_file(mount.heap + "/b", "");
  write_file(mount.work + "/data/file", "");
  const UniqueFd a = open_path(mount.heap + "/a"), b = open_path(mount.heap + "/b");
  const UniqueFd file = open_path(mount.at + "/files/data/file");
  const UniqueFd client = mount.connect();
  CHECK(flag_of(ask(client, kInside, {a.get(), file.get()}), "ok"));
  CHECK(content(mount.work + "/data/file") == text);
  CHECK(flag_of(ask(client, kInside, {file.get(), b.get()}), "ok"));
  CHECK(content(mount.heap + "/b") == text);
  CHECK(code_of(ask(client, kInside, {a.get(), a.get()})) == "EINVAL");
}

TEST_CASE("the control socket tells the files of the mount apart") {
  const Mount mount;
  const UniqueFd client = mount.connect();
  // Whatever the numbers are: each of many files is the one that is meant.
  for (int i = 0; i < 20; ++i) {
    const std::string name = std::to_string(i);
    write_file(mount.work + "/data/" + name, "file " + name);
    write_file(mount.heap + "/" + name, "");
    const UniqueFd from = open_path(mount.at + "/files/data/" + name),
                   to = open_path(mount.heap + "/" + name);
    CHECK(flag_of(ask(client, kInside, {from.get(), to.get()}), "ok"));
    CHECK(content(mount.heap + "/" + name) == "file " + name);
  }
}

TEST_CASE("the control socket refuses what is no file of the mount, and open files of it") {
  const Mount mount;
  write_file(mount.heap + "/a", "x");
  write_file(mount.work + "/out", "");
  const UniqueFd outside = open_path(mount.work + "/out"), a = open_path(mount.heap + "/a");
  const UniqueFd client = mount.connect();
  CHECK(code_of(ask(client, kInside, {a.get(), outside.get()})) == "EXDEV");
  const UniqueFd directory = open_path(mount.heap);
  CHECK_FALSE(flag_of(ask(client, kInside, {directory.get(), a.get()}), "ok"));
  const UniqueFd status = open_path(mount.at + "/status");
  CHECK(code_of(ask(client, kInside, {status.get(), a.get()})) == "EOPNOTSUPP");
  CHECK(code_of(ask(client, kInside, {a.get(), status.get()})) == "EACCES");
  // Closing it again asks the daemon for a FLUSH: it must not wait for itself.
  const UniqueFd own(::open((mount.heap + "/a").c_str(), O_RDWR | O_CLOEXEC));
  const Json passed{{"op", "copy"}, {"from", {{"fd", 0}}}, {"to", {{"path_fd", 1}}}};
  CHECK(code_of(ask(client, passed, {own.get(), a.get()})) == "EXDEV");
  CHECK(code_of(ask(client, kInside, {own.get(), a.get()})) == "EBADF");
  CHECK(content(mount.heap + "/a") == "x");
}

TEST_CASE("the control socket's info and status are those of the mount") {
  const Mount mount;
  write_file(mount.heap + "/a", "12345");
  const UniqueFd a = open_path(mount.heap + "/a"), client = mount.connect();
  const Json reply = ask(client, {{"op", "info"}, {"file", {{"path_fd", 0}}}}, {a.get()});
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

TEST_CASE("an O_PATH descriptor alone gives no right to a buffer") {
  if (::geteuid() != 0) return;  // only root can become somebody else
  const Mount mount("allow_other");
  write_file(mount.heap + "/secret", "secret");
  write_file(mount.work + "/data/theirs", "");
  REQUIRE(::chmod((mount.heap + "/secret").c_str(), 0600) == 0);
  REQUIRE(::chmod((mount.work + "/data/theirs").c_str(), 0666) == 0);
  const UniqueFd secret = open_path(mount.heap + "/secret");
  const UniqueFd theirs = open_path(mount.at + "/files/data/theirs");
  const std::string socket = Json::parse(content(mount.at + "/status"))["socket"].get<std::string>();
  const pid_t child = ::fork();
  if (child == 0) {
    if (::setgroups(0, nullptr) != 0 || ::setgid(65534) != 0 || ::setuid(65534) != 0) ::_exit(1);
    const auto client = connect_to(socket);
    if (!client) ::_exit(2);
    const bool reading = code_of(ask(*client, kInside, {secret.get(), theirs.get()})) == "EACCES";
    const bool writing = code_of(ask(*client, kInside, {theirs.get(), secret.get()})) == "EACCES";
    ::_exit(reading && writing ? 0 : 3);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(WEXITSTATUS(status) == 0);
  CHECK(content(mount.work + "/data/theirs").empty());
  CHECK(content(mount.heap + "/secret") == "secret");
}

TEST_CASE("the control socket writes nothing into a read-only mount") {
  Mount mount;
  const std::string path = mount.work + "/data/file";
  write_file(path, "kept");
  REQUIRE(run({DMABUFFS_BINARY, "umount", mount.at}) == 0);
  REQUIRE(run({DMABUFFS_BINARY, "mount", "--files", "data=" + mount.work + "/data", "-o", "ro", mount.at}) ==
          0);
  write_file(mount.work + "/from", "other");
  const UniqueFd from(::open((mount.work + "/from").c_str(), O_RDONLY | O_CLOEXEC));
  const UniqueFd to = open_path(mount.at + "/files/data/file"), client = mount.connect();
  const Json request{{"op", "copy"}, {"from", {{"fd", 0}}}, {"to", {{"path_fd", 1}}}};
  CHECK(code_of(ask(client, request, {from.get(), to.get()})) == "EROFS");
  CHECK(content(path) == "kept");
}
