// SPDX-License-Identifier: MIT
// File locks through the mount: the client's kernel keeps them, as for any local file system.
#include <sys/file.h>
#include <sys/wait.h>

#include <atomic>
#include <csignal>
#include <functional>
#include <thread>

#include "mount_support.h"

using namespace mount_support;

namespace {

struct flock range(short type, off_t start = 0, off_t length = 0) {
  struct flock lock {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = start;
  lock.l_len = length;
  return lock;
}

int lock(const UniqueFd& fd, int command, struct flock wanted) {
  return ::fcntl(fd.get(), command, &wanted) == 0 ? 0 : errno;
}

/// A process that runs `work` and waits to be told to go; what it says before comes back.
class Child {
 public:
  explicit Child(const std::function<int()>& work) {
    REQUIRE(::pipe2(said_, O_CLOEXEC) == 0);
    REQUIRE(::pipe2(told_, O_CLOEXEC) == 0);
    pid = ::fork();
    if (pid != 0) {
      ::close(said_[1]);
      ::close(told_[0]);
      return;
    }
    ::close(told_[1]);
    const int answer = work();
    (void)!::write(said_[1], &answer, sizeof answer);
    char byte = 0;
    (void)!::read(told_[0], &byte, 1);
    ::_exit(0);
  }
  ~Child() {
    ::close(told_[1]);
    ::close(said_[0]);
    ::waitpid(pid, nullptr, 0);
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  /// What `work` returned; waits for it.
  int answer() {
    int value = -1;
    return ::read(said_[0], &value, sizeof value) == sizeof value ? value : -1;
  }

  pid_t pid = 0;

 private:
  int said_[2]{}, told_[2]{};
};

/// Runs `work` in a process of its own.
int elsewhere(const std::function<int()>& work) {
  return Child(work).answer();
}

int lock_of(const std::string& path, int command, struct flock wanted) {
  return lock(UniqueFd(::open(path.c_str(), O_RDWR | O_CLOEXEC)), command, wanted);
}

bool held(int error) {
  return error == EAGAIN || error == EACCES;
}

}  // namespace

TEST_CASE("locks: of a buffer and of a file in files/ they are as in any file system") {
  const Mount mount;
  const bool buffer = GENERATE(true, false);
  const std::string path = (buffer ? mount.heap("memfd") : mount.files) + "lock";
  INFO(path);
  put(path, "text");

  SECTION("an open file description's lock goes with its last close") {
    const UniqueFd kept = open_file(path, O_RDWR);
    UniqueFd fd = open_file(path, O_RDWR);
    REQUIRE(lock(fd, F_OFD_SETLK, range(F_WRLCK)) == 0);
    CHECK(held(lock(kept, F_OFD_SETLK, range(F_WRLCK))));
    fd.reset();
    CHECK(lock(kept, F_OFD_SETLK, range(F_WRLCK)) == 0);
  }

  SECTION("who holds a lock is told") {
    Child holder([&] {
      static const UniqueFd fd(::open(path.c_str(), O_RDWR | O_CLOEXEC));
      return lock(fd, F_SETLK, range(F_WRLCK, 10, 5));
    });
    REQUIRE(holder.answer() == 0);
    const UniqueFd fd = open_file(path, O_RDWR);
    struct flock asked = range(F_RDLCK);
    REQUIRE(::fcntl(fd.get(), F_GETLK, &asked) == 0);
    CHECK(asked.l_type == F_WRLCK);
    CHECK(asked.l_start == 10);
    CHECK(asked.l_len == 5);
    CHECK(asked.l_pid == holder.pid);
    CHECK(held(lock(fd, F_SETLK, range(F_RDLCK, 14, 1))));
    CHECK(lock(fd, F_SETLK, range(F_WRLCK, 15, 1)) == 0);
  }

  SECTION("a process that opens the file twice is one owner, and any close of its ends its locks") {
    const UniqueFd fd = open_file(path, O_RDWR);
    UniqueFd second = open_file(path, O_RDWR);
    REQUIRE(lock(fd, F_SETLK, range(F_WRLCK)) == 0);
    CHECK(lock(second, F_SETLK, range(F_WRLCK)) == 0);
    CHECK(held(elsewhere([&] { return lock_of(path, F_SETLK, range(F_RDLCK)); })));
    second.reset();
    CHECK(elsewhere([&] { return lock_of(path, F_SETLK, range(F_WRLCK)); }) == 0);
  }

  SECTION("two who wait for each other are told") {
    const UniqueFd fd = open_file(path, O_RDWR);
    REQUIRE(lock(fd, F_SETLK, range(F_WRLCK, 0, 1)) == 0);
    Child other([&] {
      const UniqueFd mine(::open(path.c_str(), O_RDWR | O_CLOEXEC));
      if (lock(mine, F_SETLK, range(F_WRLCK, 1, 1)) != 0) return -2;
      return lock(mine, F_SETLKW, range(F_WRLCK, 0, 1));
    });
    struct flock asked = range(F_WRLCK, 1, 1);
    do {
      asked.l_type = F_WRLCK;
      REQUIRE(::fcntl(fd.get(), F_GETLK, &asked) == 0);
    } while (asked.l_type == F_UNLCK);
    // Whichever of the two waits last is refused; the other gets on.
    const int mine = lock(fd, F_SETLKW, range(F_WRLCK, 1, 1));
    if (mine == EDEADLK) CHECK(lock(fd, F_SETLK, range(F_UNLCK)) == 0);
    const int its = other.answer();
    CHECK(mine + its == EDEADLK);
  }

  SECTION("a wait for a lock ends by a signal") {
    const UniqueFd fd = open_file(path, O_RDWR);
    REQUIRE(lock(fd, F_SETLK, range(F_WRLCK)) == 0);
    CHECK(elsewhere([&] {
            struct sigaction quiet {};
            quiet.sa_handler = [](int) {};
            ::sigaction(SIGALRM, &quiet, nullptr);
            ::alarm(1);
            return lock_of(path, F_SETLKW, range(F_WRLCK));
          }) == EINTR);
  }

  SECTION("flock belongs to the open file") {
    UniqueFd one = open_file(path, O_RDONLY);
    const UniqueFd two = open_file(path, O_RDONLY);
    REQUIRE(::flock(one.get(), LOCK_EX) == 0);
    CHECK(::flock(two.get(), LOCK_SH | LOCK_NB) != 0);
    one.reset();
    CHECK(::flock(two.get(), LOCK_SH | LOCK_NB) == 0);
  }
}

TEST_CASE("locks: one taken in files/ and one on the host do not meet") {
  const Mount mount;
  put(mount.data + "lock", "text");
  const UniqueFd host = open_file(mount.data + "lock", O_RDWR);
  const UniqueFd shown = open_file(mount.files + "lock", O_RDWR);
  REQUIRE(lock(host, F_OFD_SETLK, range(F_WRLCK)) == 0);
  CHECK(lock(shown, F_OFD_SETLK, range(F_WRLCK)) == 0);
}

TEST_CASE("locks: a read lock of a program in files/ keeps nobody from running it") {
  const Mount mount;
  std::filesystem::copy_file("/bin/true", mount.data + "tool");
  const UniqueFd fd = open_file(mount.files + "tool", O_RDONLY);
  REQUIRE(lock(fd, F_SETLK, range(F_RDLCK)) == 0);
  CHECK(run({mount.data + "tool"}) == 0);
}

TEST_CASE("locks: any number that wait for one keep nobody else waiting") {
  const Mount mount;
  const std::string path = mount.heap("memfd") + "lock";
  put(path, "text");
  const UniqueFd fd = open_file(path, O_RDWR);
  REQUIRE(lock(fd, F_OFD_SETLK, range(F_WRLCK)) == 0);
  std::vector<std::thread> waiters;
  std::atomic<int> got{0};
  for (int i = 0; i < 100; ++i) {
    waiters.emplace_back([&] {
      const UniqueFd mine(::open(path.c_str(), O_RDWR | O_CLOEXEC));
      if (lock(mine, F_OFD_SETLKW, range(F_RDLCK)) == 0) ++got;
    });
  }
  put(mount.heap("memfd") + "new", "text");
  CHECK(content(mount.heap("memfd") + "new") == "text");
  CHECK(::truncate(path.c_str(), 0) == 0);
  CHECK(got == 0);
  REQUIRE(lock(fd, F_OFD_SETLK, range(F_UNLCK)) == 0);
  for (std::thread& waiter : waiters) waiter.join();
  CHECK(got == 100);
}
