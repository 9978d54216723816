// SPDX-License-Identifier: MIT
#include <pthread.h>
#include <sys/file.h>

#include <atomic>

#include "catch.h"
#include "files_support.h"

using namespace files_test;

namespace {

struct flock range(short type, off_t start = 0, off_t length = 0) {
  struct flock lock {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = start;
  lock.l_len = length;
  lock.l_pid = 4242;  // as libfuse fills it in
  return lock;
}

int set(OpenFile& file, uint64_t owner, struct flock lock) {
  return code(file.setlk(owner, lock, false));
}

bool refused(int error) {
  return error == EAGAIN || error == EACCES;
}

/// What a process of the host gets for a classic lock of [start, start + length).
int host_lock(const std::string& path, short type, off_t start, off_t length) {
  return in_child([&] {
    const int fd = ::open(path.c_str(), O_RDWR);
    struct flock lock = range(type, start, length);
    return ::fcntl(fd, F_SETLK, &lock) == 0 ? 0 : errno;
  });
}

struct LockHost : Host {
  LockHost() { put(tree.path("file"), "text"); }
  OpenPtr open(int flags = O_RDWR) { return at("file")->open(me, flags).value(); }
};

}  // namespace

TEST_CASE("lock owners exclude one another, whichever open file they come by") {
  LockHost host;
  auto one = host.open(), two = host.open();
  REQUIRE(set(*one, 1, range(F_WRLCK, 0, 10)) == 0);
  CHECK(refused(set(*two, 2, range(F_RDLCK, 5, 1))));
  CHECK(refused(set(*one, 2, range(F_WRLCK, 5, 1))));
  CHECK(set(*two, 2, range(F_WRLCK, 10, 10)) == 0);
  CHECK(set(*two, 1, range(F_WRLCK, 0, 5)) == 0);  // a process that opened the file twice is one owner

  struct flock asked = range(F_RDLCK, 0, 100);
  REQUIRE(two->getlk(2, asked));
  CHECK(asked.l_type == F_WRLCK);
  CHECK(asked.l_start == 0);
  CHECK(asked.l_len == 10);
  asked = range(F_WRLCK, 0, 10);
  REQUIRE(one->getlk(1, asked));
  CHECK(asked.l_type == F_UNLCK);
  asked = range(F_RDLCK, 12, 1);
  REQUIRE(one->getlk(3, asked));  // an owner without locks
  CHECK(asked.l_type == F_WRLCK);

  CHECK(set(*one, 1, range(F_UNLCK, 0, 4)) == 0);
  CHECK(set(*two, 2, range(F_WRLCK, 0, 4)) == 0);
  CHECK(refused(set(*two, 2, range(F_WRLCK, 4, 1))));
  CHECK(set(*one, 1, range(F_UNLCK)) == 0);  // as at close
  CHECK(set(*two, 2, range(F_WRLCK, 0, 100)) == 0);
  CHECK(set(*one, 3, range(F_UNLCK)) == 0);  // one that never locked
}

TEST_CASE("locks exclude processes of the host and theirs exclude the mount") {
  LockHost host;
  auto file = host.open();
  const std::string path = host.tree.path("file");
  REQUIRE(set(*file, 1, range(F_RDLCK, 0, 10)) == 0);
  CHECK(refused(host_lock(path, F_WRLCK, 0, 1)));
  CHECK(host_lock(path, F_RDLCK, 0, 1) == 0);
  REQUIRE(set(*file, 1, range(F_UNLCK)) == 0);
  CHECK(host_lock(path, F_WRLCK, 0, 1) == 0);

  const Bystander holder(0, 0, {}, [&] {
    const int fd = ::open(path.c_str(), O_RDWR);
    struct flock lock = range(F_WRLCK, 100, 1);
    if (::fcntl(fd, F_SETLK, &lock) != 0) ::_exit(1);
  });
  CHECK(refused(set(*file, 1, range(F_RDLCK, 100, 1))));
  struct flock asked = range(F_RDLCK, 0, 0);
  REQUIRE(file->getlk(1, asked));
  CHECK(asked.l_type == F_WRLCK);
  CHECK(asked.l_pid == holder.caller().pid);
}

TEST_CASE("a lock needs the access the file was opened with") {
  LockHost host;
  CHECK(set(*host.open(O_RDONLY), 1, range(F_WRLCK)) == EBADF);
  CHECK(set(*host.open(O_WRONLY), 1, range(F_RDLCK)) == EBADF);
  // A reader's lock first, then a writer's by another open of the same process.
  auto reader = host.open(O_RDONLY), writer = host.open(O_RDWR);
  CHECK(set(*reader, 1, range(F_RDLCK, 0, 1)) == 0);
  CHECK(set(*writer, 1, range(F_WRLCK, 0, 10)) == 0);
  CHECK(refused(set(*reader, 2, range(F_RDLCK, 5, 1))));
}

TEST_CASE("who may only read can lock for reading and hinders nobody from running the file") {
  Host host(settings_for_everyone());
  std::filesystem::copy_file("/bin/true", host.tree.path("tool"));
  REQUIRE(::chmod(host.tree.path("tool").c_str(), 0755) == 0);
  const Bystander user(21001, 21001, {});
  auto file = host.at("tool")->open(user.caller(), O_RDONLY).value();
  REQUIRE(set(*file, 1, range(F_RDLCK)) == 0);
  CHECK(std::system(host.tree.path("tool").c_str()) == 0);
}

TEST_CASE("a waiting lock comes when the other goes, and a signal ends the wait") {
  LockHost host;
  auto one = host.open(), two = host.open();
  REQUIRE(set(*one, 1, range(F_WRLCK)) == 0);
  std::atomic<bool> started{false};
  std::atomic<int> outcome{-1};
  std::thread waiter([&] {
    started = true;
    struct flock lock = range(F_WRLCK);
    outcome = code(two->setlk(2, lock, true));
  });
  while (!started) std::this_thread::yield();
  SECTION("released") {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    CHECK(outcome == -1);
    CHECK(set(*one, 1, range(F_UNLCK)) == 0);
    waiter.join();
    CHECK(outcome == 0);
    CHECK(refused(set(*one, 1, range(F_WRLCK))));
  }
  SECTION("interrupted") {
    struct sigaction quiet {};
    struct sigaction before {};
    quiet.sa_handler = [](int) {};
    REQUIRE(::sigaction(SIGUSR1, &quiet, &before) == 0);
    while (outcome == -1) {
      ::pthread_kill(waiter.native_handle(), SIGUSR1);
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    waiter.join();
    ::sigaction(SIGUSR1, &before, nullptr);
    CHECK(outcome == EINTR);
  }
}

TEST_CASE("flock belongs to the open file and ends with it") {
  LockHost host;
  auto one = host.open(O_RDONLY), two = host.open(O_RDONLY);
  REQUIRE(one->flock(LOCK_EX));
  CHECK(code(two->flock(LOCK_SH | LOCK_NB)) == EWOULDBLOCK);
  const std::string path = host.tree.path("file");
  const auto host_flock = [&] {
    return in_child(
        [&] { return ::flock(::open(path.c_str(), O_RDONLY), LOCK_EX | LOCK_NB) == 0 ? 0 : errno; });
  };
  CHECK(host_flock() == EWOULDBLOCK);
  one.reset();
  CHECK(host_flock() == 0);
  CHECK(two->flock(LOCK_SH | LOCK_NB));
  CHECK(two->flock(LOCK_UN));
}
