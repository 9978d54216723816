// SPDX-License-Identifier: MIT
// What may wait keeps nobody else waiting, and no request that fails ends the daemon.
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>

#include <atomic>
#include <csignal>
#include <thread>

#include "mount_support.h"

using namespace mount_support;

namespace {

/// The daemon may allocate no more than `room` bytes beyond what it has.
[[maybe_unused]] void limit_memory(pid_t pid, uint64_t room) {
  std::ifstream statm("/proc/" + std::to_string(pid) + "/statm");
  uint64_t pages = 0;
  REQUIRE(statm >> pages);
  const struct rlimit limit { pages * 4096 + room, RLIM_INFINITY };
  REQUIRE(::prlimit(pid, RLIMIT_AS, &limit, nullptr) == 0);
}

}  // namespace

TEST_CASE("a host file that nobody may open for now keeps only those waiting who open it") {
  const Mount mount;
  put(mount.data + "leased", "text");
  ::signal(SIGIO, SIG_IGN);  // the kernel asks for the lease back; this keeps it
  UniqueFd holder = open_file(mount.data + "leased", O_RDONLY);
  REQUIRE(::fcntl(holder.get(), F_SETLEASE, F_RDLCK) == 0);
  std::atomic<int> opened{0};
  std::vector<std::thread> openers;
  for (int i = 0; i < 24; ++i) {
    openers.emplace_back([&] {
      const UniqueFd fd(::open((mount.files + "leased").c_str(), O_WRONLY | O_CLOEXEC));
      ++opened;
    });
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(500));  // most of them are waiting now
  put(mount.heap("memfd") + "new", "text");
  CHECK(content(mount.heap("memfd") + "new") == "text");
  CHECK(::truncate((mount.heap("memfd") + "new").c_str(), 0) == 0);
  put(mount.files + "other", "text");
  CHECK(content(mount.files + "other") == "text");
  CHECK(opened == 0);
  holder.reset();
  for (std::thread& opener : openers) opener.join();
  CHECK(opened == 24);
}

TEST_CASE(
    "opens and truncations that wait for leases are no thread's work: their directory stays free for all") {
  const Mount mount;
  ::signal(SIGIO, SIG_IGN);
  std::vector<UniqueFd> leases;
  constexpr int kFiles = 100;  // more than the daemon has threads
  for (int i = 0; i < kFiles; ++i) {
    const std::string name = std::to_string(i);
    put(mount.data + name, "text");
    leases.push_back(open_file(mount.data + name, O_RDONLY));
    REQUIRE(::fcntl(leases.back().get(), F_SETLEASE, F_RDLCK) == 0);
  }
  std::atomic<int> done{0}, failed{0};
  std::vector<std::thread> waiting;
  for (int i = 0; i < kFiles; ++i) {
    waiting.emplace_back([&, path = mount.files + std::to_string(i), i] {
      const bool right = i % 2 == 0
                             ? UniqueFd(::open(path.c_str(), O_WRONLY | O_TRUNC | O_CLOEXEC)).get() >= 0
                             : ::truncate(path.c_str(), 1) == 0;
      failed += right ? 0 : 1;
      ++done;
    });
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  const auto begun = std::chrono::steady_clock::now();
  CHECK(::access((mount.files + "absent").c_str(), F_OK) == -1);
  CHECK(::mkdir((mount.files + "directory").c_str(), 0700) == 0);
  put(mount.files + "new", "text");
  CHECK(content(mount.files + "new") == "text");
  CHECK(std::chrono::steady_clock::now() - begun < std::chrono::seconds(5));  // a lease is kept for 45
  CHECK(done == 0);
  leases.clear();
  for (std::thread& thread : waiting) thread.join();
  CHECK(failed == 0);
  CHECK(std::filesystem::file_size(mount.data + "0") == 0);
  CHECK(content(mount.data + "1") == "t");
}

// The allocators of the sanitizers end the program instead of telling that there is no memory.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
TEST_CASE("a daemon that gets no memory refuses requests and lives") {
  const Mount mount;
  const std::string heap = mount.heap("memfd");
  constexpr int kFiles = 5000;
  for (int i = 0; i < kFiles; ++i)
    UniqueFd(::open((heap + std::to_string(i) + std::string(200, 'n')).c_str(),
                    O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
  const auto pid = mount.status()["pid"].get<pid_t>();
  const UniqueFd fd = open_file(heap + "file", O_RDWR | O_CREAT);
  const UniqueFd host = open_file(mount.files + "file", O_RDWR | O_CREAT);
  std::vector<char> bytes(size_t{1} << 20);
  limit_memory(pid, 0);
  {
    // All at once: more than the workers that there are.
    std::vector<std::jthread> many;
    for (int i = 0; i < 16; ++i)
      many.emplace_back([&, i] {
        for (int round = 0; round < 50; ++round)
          (void)!::pwrite(fd.get(), bytes.data(), bytes.size(), i * (1 << 20));
      });
  }
  for (int round = 0; round < 3; ++round) {
    std::error_code problem;
    int seen = 0;
    for (auto at = std::filesystem::directory_iterator(heap, problem);
         !problem && at != std::filesystem::directory_iterator(); at.increment(problem))
      ++seen;
    CHECK((problem || seen > kFiles));
    for (const UniqueFd* file : {&fd, &host}) {
      (void)!::pwrite(file->get(), bytes.data(), bytes.size(), round * (1 << 20));
      (void)!::pread(file->get(), bytes.data(), bytes.size(), 0);
      (void)::lseek(file->get(), 0, SEEK_DATA);
      (void)::fsync(file->get());
      (void)::ftruncate(file->get(), 100);
      (void)::fallocate(file->get(), 0, 0, 10 << 20);
      const UniqueFd dup(::fcntl(file->get(), F_DUPFD_CLOEXEC, 0));
    }
    loff_t in = 0, out = 0;
    (void)!::copy_file_range(fd.get(), &in, host.get(), &out, 10 << 20, 0);
    struct statvfs space {};
    (void)::statvfs(heap.c_str(), &space);
    (void)content(mount.at + "/status");
    for (int i = 0; i < 200; ++i) {
      const std::string name = heap + "more" + std::to_string(i);
      const UniqueFd made(::open(name.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
      (void)::mkdir((name + "d").c_str(), 0700);
      (void)::rename((name + "d").c_str(), (name + "e").c_str());
      (void)::unlink(name.c_str());
      (void)::rmdir((name + "e").c_str());
    }
  }
  const struct rlimit none { RLIM_INFINITY, RLIM_INFINITY };
  REQUIRE(::prlimit(pid, RLIMIT_AS, &none, nullptr) == 0);
  CHECK(mount.status()["pid"].get<pid_t>() == pid);
  put(heap + "last", "text");
  CHECK(content(heap + "last") == "text");
}
#endif

TEST_CASE("copy_file_range into a file whose O_APPEND fcntl has taken away goes to its place") {
  const Mount mount;
  put(mount.files + "from", "abcd");
  const UniqueFd from = open_file(mount.files + "from", O_RDONLY);
  for (const std::string& path : {mount.files + "to", mount.heap("memfd") + "to"}) {
    INFO(path);
    const UniqueFd to = open_file(path, O_RDWR | O_CREAT | O_APPEND);
    REQUIRE(::write(to.get(), "0123456789", 10) == 10);
    loff_t in = 0, out = 2;
    CHECK(::copy_file_range(from.get(), &in, to.get(), &out, 4, 0) == -1);
    REQUIRE(::fcntl(to.get(), F_SETFL, 0) == 0);
    CHECK(copy_range(from, 0, to, 2, 4) == 4);
    CHECK(content(path) == "01abcd6789");
    REQUIRE(::fcntl(to.get(), F_SETFL, O_APPEND) == 0);
    REQUIRE(::write(to.get(), "X", 1) == 1);
    CHECK(content(path) == "01abcd6789X");
  }
}

TEST_CASE("requests of one user to files/ that overtake one another arrive whole") {
  const Mount mount({"-o", "xattr"});
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 8; ++thread) {
    threads.emplace_back([&, thread] {
      const std::string path = mount.files + std::to_string(thread);
      const UniqueFd fd(::open(path.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600));
      for (int round = 0; round < 100; ++round) {
        std::string value(50, static_cast<char>('a' + thread));
        value[10] = '\0';
        std::string back(value.size(), 'x');
        const bool same = ::setxattr(path.c_str(), "user.note", value.data(), value.size(), 0) == 0 &&
                          ::getxattr(path.c_str(), "user.note", back.data(), back.size()) == 50 &&
                          back == value && ::pwrite(fd.get(), value.data(), 50, round * 50) == 50 &&
                          ::pread(fd.get(), back.data(), 50, round * 50) == 50 && back == value;
        wrong += same ? 0 : 1;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == 0);
}
