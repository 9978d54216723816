// SPDX-License-Identifier: MIT
#include "dmabuffs/control/address.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "catch.h"
#include "dmabuffs/control/server/control.h"

using namespace dmabuffs;

namespace {

/// A user nobody is: his sockets for others go to /tmp/dmabuffs-UID, which the test may make as it likes.
constexpr uid_t kNobody = 4294900000;

struct SharedDirectory {
  std::string path = "/tmp/dmabuffs-" + std::to_string(kNobody);
  SharedDirectory() { remove(); }
  ~SharedDirectory() { remove(); }
  SharedDirectory(const SharedDirectory&) = delete;
  SharedDirectory& operator=(const SharedDirectory&) = delete;
  void remove() const {
    std::filesystem::remove_all(path);
    for (const std::string& other : socket_directories(kNobody))
      if (other.starts_with(path + ".")) std::filesystem::remove_all(other);
  }
};

mode_t mode_of(const std::string& path) {
  struct stat st {};
  REQUIRE(::lstat(path.c_str(), &st) == 0);
  return st.st_mode & 07777;
}

}  // namespace

TEST_CASE("mount points that look alike have different control sockets") {
  CHECK(socket_name("/run/buf") != socket_name("/run-buf"));
  CHECK(socket_name("/run/buf") != socket_name("/run/buf/"));
  CHECK(socket_name("/run/buf").rfind("run-buf-", 0) == 0);
  CHECK(socket_name("/run/buf") == socket_name("/run/buf"));
  const std::string odd = socket_name("/a b/../\n" + std::string(4000, 'x'));
  CHECK(odd.size() < 80);
  CHECK(odd.find_first_of("/ \n") == std::string::npos);
}

TEST_CASE("root's control sockets are in /run, a user's in his runtime directory") {
  CHECK(control_socket_path("/mnt", 0).rfind("/run/dmabuffs/", 0) == 0);
  CHECK(
      control_socket_path("/mnt", kNobody).rfind("/run/user/" + std::to_string(kNobody) + "/dmabuffs/", 0) ==
      0);
}

TEST_CASE("a control socket that others may use can be reached by them") {
  const SharedDirectory shared;
  const auto socket = listen_at("/somewhere", kNobody, true);
  REQUIRE(socket);
  CHECK(socket->path == shared.path + "/" + socket_name("/somewhere"));
  CHECK(mode_of(shared.path) == 0755);
  CHECK(mode_of(socket->path) == 0666);
  CHECK(connect_to(socket->path));
}

TEST_CASE(
    "a directory that others can write is no place for a control socket, and keeps nobody from having one") {
  const SharedDirectory shared;
  SECTION("a directory open to all") {
    REQUIRE(::mkdir(shared.path.c_str(), 0777) == 0);
    REQUIRE(::chmod(shared.path.c_str(), 0777) == 0);
  }
  SECTION("a symbolic link") {
    REQUIRE(::symlink("/tmp", shared.path.c_str()) == 0);
  }
  SECTION("a file") {
    REQUIRE(::mknod(shared.path.c_str(), S_IFREG | 0600, 0) == 0);
  }
  SECTION("a directory of somebody else") {
    REQUIRE(::mkdir(shared.path.c_str(), 0700) == 0);
    if (::chown(shared.path.c_str(), 65534, 65534) != 0) return;
  }
  const auto socket = listen_at("/somewhere", kNobody, true);
  REQUIRE(socket);
  CHECK(socket->path.rfind(shared.path + ".", 0) == 0);
  const std::string directory = socket->path.substr(0, socket->path.rfind('/'));
  CHECK(mode_of(directory) == 0755);
  CHECK(connect_to(socket->path));
  const auto other = listen_at("/elsewhere", kNobody, true);
  REQUIRE(other);
  CHECK(other->path == directory + "/" + socket_name("/elsewhere"));
}

TEST_CASE("what others put beside a user's directories for control sockets is none of them") {
  const SharedDirectory shared;
  const std::string trap = shared.path + ".trap";
  REQUIRE(::mkdir(trap.c_str(), 0777) == 0);
  if (::chown(trap.c_str(), 65534, 65534) != 0) return;
  const auto found = socket_directories(kNobody);
  std::filesystem::remove_all(trap);
  CHECK(std::find(found.begin(), found.end(), trap) == found.end());
}

TEST_CASE("a control socket that a dead daemon left is replaced, a living one is not touched") {
  const SharedDirectory shared;
  auto first = listen_at("/somewhere", kNobody, true);
  REQUIRE(first);
  SECTION("dead") {
    first->fd.reset();
    CHECK(connect_to(first->path).error().code == ECONNREFUSED);
    const auto second = listen_at("/somewhere", kNobody, true);
    REQUIRE(second);
    CHECK(second->path == first->path);
    CHECK(connect_to(second->path));
  }
  SECTION("dead, of another mount") {
    first->fd.reset();
    const auto second = listen_at("/elsewhere", kNobody, true);
    REQUIRE(second);
    CHECK(::access(first->path.c_str(), F_OK) != 0);
    CHECK(connect_to(second->path));
  }
  SECTION("living") {
    const auto second = listen_at("/somewhere", kNobody, true);
    REQUIRE(second);
    CHECK(second->path != first->path);
    CHECK(connect_to(first->path));
    CHECK(connect_to(second->path));
    remove_socket(*second);
    CHECK(::access(second->path.c_str(), F_OK) != 0);
    CHECK(connect_to(first->path));
  }
}

TEST_CASE("a control socket can be deeper in the file system than a socket address is long") {
  char work[] = "/tmp/control-XXXXXX";
  REQUIRE(::mkdtemp(work) != nullptr);
  const std::string deep = std::string(work) + "/" + std::string(120, 'd');
  REQUIRE(::mkdir(deep.c_str(), 0700) == 0);
  const auto missing = connect_to(deep + "/none.sock");
  REQUIRE_FALSE(missing);
  CHECK(missing.error().code == ENOENT);
  std::filesystem::remove_all(work);
}
