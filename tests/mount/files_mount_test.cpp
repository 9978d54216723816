// SPDX-License-Identifier: MIT
// files/ through the kernel: what only a real mount shows, that the client's page cache and its mappings
// agree with the host's.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "catch.h"
#include "dmabuffs/base/unique_fd.h"
#include "dmabuffs/tree/files/held.h"

using dmabuffs::UniqueFd;

namespace {

int in_child(const std::function<int()>& work) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(work());
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

int run(std::vector<std::string> words) {
  return in_child([&] {
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    ::execv(argv[0], argv.data());
    return 127;
  });
}

/// A directory of the host, and the same through a mount.
struct Shown {
  std::string work, host, files;
  Shown() {
    std::string pattern = (std::filesystem::temp_directory_path() / "dmabuffs-files-XXXXXX").string();
    work = ::mkdtemp(pattern.data());
    host = work + "/data/";
    files = work + "/mnt/files/data/";
    std::filesystem::create_directory(work + "/mnt");
    std::filesystem::create_directory(host);
    REQUIRE(run({DMABUFFS_BINARY, "mount", "--files", "data=" + work + "/data", work + "/mnt"}) == 0);
  }
  ~Shown() {
    CHECK(run({DMABUFFS_BINARY, "umount", work + "/mnt"}) == 0);
    std::filesystem::remove_all(work);
  }
};

std::string content(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

void put(const std::string& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

UniqueFd open_file(const std::string& path, int flags) {
  UniqueFd fd(::open(path.c_str(), flags | O_CLOEXEC, 0644));
  INFO(path << ": " << std::strerror(errno));
  REQUIRE(fd);
  return fd;
}

std::string read_at(const UniqueFd& fd, off_t offset, size_t length) {
  std::string text(length, '\0');
  const ssize_t got = ::pread(fd.get(), text.data(), length, offset);
  REQUIRE(got >= 0);
  text.resize(static_cast<size_t>(got));
  return text;
}

}  // namespace

TEST_CASE("a shared mapping of a file in files/ is the file") {
  const Shown shown;
  put(shown.host + "file", std::string(10000, 'a'));
  const UniqueFd fd = open_file(shown.files + "file", O_RDWR);
  auto* bytes = static_cast<char*>(::mmap(nullptr, 10000, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0));
  REQUIRE(bytes != MAP_FAILED);
  CHECK(bytes[9999] == 'a');
  std::memset(bytes + 5000, 'b', 100);
  CHECK(read_at(fd, 5000, 1) == "b");
  REQUIRE(::msync(bytes, 10000, MS_SYNC) == 0);
  CHECK(content(shown.host + "file").substr(4999, 102) == "a" + std::string(100, 'b') + "a");
  std::memset(bytes, 'c', 1);
  REQUIRE(::munmap(bytes, 10000) == 0);
  REQUIRE(::fsync(fd.get()) == 0);
  CHECK(content(shown.host + "file").substr(0, 2) == "ca");
}

TEST_CASE("appending and a mapping of the same file in files/ do not disturb each other") {
  const Shown shown;
  put(shown.host + "file", std::string(4096, 'a'));
  const UniqueFd appender = open_file(shown.files + "file", O_RDWR | O_APPEND);
  const UniqueFd mapped = open_file(shown.files + "file", O_RDWR);
  auto* bytes =
      static_cast<char*>(::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, mapped.get(), 0));
  REQUIRE(bytes != MAP_FAILED);
  bytes[0] = 'b';
  REQUIRE(::write(appender.get(), "x", 1) == 1);
  bytes[1] = 'b';
  std::ofstream(shown.host + "file", std::ios::app) << "y";
  REQUIRE(::write(appender.get(), "z", 1) == 1);
  REQUIRE(::msync(bytes, 4096, MS_SYNC) == 0);
  REQUIRE(::munmap(bytes, 4096) == 0);
  CHECK(content(shown.host + "file") == "bb" + std::string(4094, 'a') + "xyz");
  CHECK(read_at(mapped, 4090, 100) == "aaaaaaxyz");
  // Such a mapping would put its pages at the end of the file.
  CHECK(::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, appender.get(), 0) == MAP_FAILED);
}

TEST_CASE("a read in files/ sees what the host wrote last") {
  const Shown shown;
  put(shown.host + "file", "0000000000");
  const UniqueFd fd = open_file(shown.files + "file", O_RDONLY);
  const UniqueFd host = open_file(shown.host + "file", O_RDWR);
  for (int round = 0; round < 20; ++round) {
    const std::string text = "round " + std::to_string(1000 + round);
    ::usleep(5000);  // times have the grain of the kernel's tick
    REQUIRE(::pwrite(host.get(), text.data(), text.size(), 0) == 10);
    CHECK(read_at(fd, 0, 100) == text);
  }
  REQUIRE(::ftruncate(host.get(), 3) == 0);
  CHECK(read_at(fd, 0, 100) == "rou");
}

TEST_CASE("files/ has inode numbers that no buffer has, and that all programs can hold") {
  const Shown shown;
  put(shown.host + "file", "text");
  struct stat file {};
  REQUIRE(::stat((shown.files + "file").c_str(), &file) == 0);
  CHECK(file.st_ino >= dmabuffs::kFirstShownInode);  // cp takes two files of one number for one
  CHECK(file.st_ino < uint64_t{1} << 53);
  struct stat heaps {};
  REQUIRE(::stat((shown.work + "/mnt/heaps/memfd").c_str(), &heaps) == 0);
  CHECK(heaps.st_ino < dmabuffs::kFirstShownInode);
}

TEST_CASE("a program can run from files/") {
  const Shown shown;
  std::filesystem::copy_file("/bin/sleep", shown.host + "tool");
  CHECK(run({shown.files + "tool", "0"}) == 0);
}

TEST_CASE("of two who make a file with O_EXCL, one in files/ and one on the host, one succeeds") {
  const Shown shown;
  constexpr int kRounds = 600;
  std::atomic<int> round{-1};
  std::vector<int> made(kRounds, 0);
  const auto make = [](const std::string& path) {
    const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
    return fd ? 1 : 0;
  };
  std::thread on_host([&] {
    for (int i = 0; i < kRounds; ++i) {
      while (round < i) continue;
      // Somewhere between the kernel's look for the name and the daemon's making it.
      const auto until = std::chrono::steady_clock::now() + std::chrono::microseconds(i % 150);
      while (std::chrono::steady_clock::now() < until) continue;
      made[static_cast<size_t>(i)] = make(shown.host + std::to_string(i));
    }
  });
  std::vector<int> shown_made(kRounds, 0);
  for (int i = 0; i < kRounds; ++i) {
    round = i;
    shown_made[static_cast<size_t>(i)] = make(shown.files + std::to_string(i));
  }
  on_host.join();
  int twice = 0, never = 0;
  for (size_t i = 0; i < kRounds; ++i) {
    twice += made[i] + shown_made[i] == 2;
    never += made[i] + shown_made[i] == 0;
  }
  CHECK(twice == 0);
  CHECK(never == 0);
}

TEST_CASE("O_APPEND of a file in files/ holds for as long as fcntl lets it") {
  const Shown shown;
  put(shown.host + "file", "0123456789");
  const UniqueFd fd = open_file(shown.files + "file", O_RDWR | O_APPEND);
  REQUIRE(::write(fd.get(), "AB", 2) == 2);
  REQUIRE(::fcntl(fd.get(), F_SETFL, 0) == 0);
  REQUIRE(::pwrite(fd.get(), "X", 1, 0) == 1);
  CHECK(content(shown.host + "file") == "X123456789AB");
  REQUIRE(::fcntl(fd.get(), F_SETFL, O_APPEND) == 0);
  REQUIRE(::write(fd.get(), "Y", 1) == 1);
  CHECK(content(shown.host + "file") == "X123456789ABY");
}
