// SPDX-License-Identifier: MIT
// Eight threads that make, rename, remove, look up, copy, read and write sixteen names at once: no error but
// those that follow from the others' doings, no byte that nobody wrote, and all is readable in the end.
#include <dirent.h>

#include <array>
#include <atomic>
#include <chrono>
#include <map>
#include <mutex>
#include <random>
#include <set>
#include <thread>

#include "mount_support.h"

using namespace mount_support;

namespace {

constexpr int kThreads = 8;
constexpr int kNames = 16;
constexpr auto kLasts = std::chrono::seconds(5);

class Stress {
 public:
  explicit Stress(std::string directory) : directory_(std::move(directory)) {}

  void run() {
    const auto end = std::chrono::steady_clock::now() + kLasts;
    std::vector<std::thread> threads;
    for (int i = 0; i < kThreads; ++i) {
      threads.emplace_back([this, i, end] {
        Worker worker{*this, std::mt19937_64(static_cast<uint64_t>(1000 + i)), static_cast<char>('a' + i)};
        while (std::chrono::steady_clock::now() < end) worker.step();
      });
    }
    for (std::thread& thread : threads) thread.join();
  }

  [[nodiscard]] std::string problems() const {
    std::string text;
    for (const auto& [problem, count] : problems_)
      text += problem + ", " + std::to_string(count) + " times\n";
    return text;
  }
  /// How often each operation succeeded: a test in which one never does tests nothing.
  std::map<std::string, uint64_t> done;

 private:
  struct Worker {
    Stress& all;
    std::mt19937_64 random;
    char letter;

    uint64_t below(uint64_t limit) { return std::uniform_int_distribution<uint64_t>(0, limit - 1)(random); }
    std::string name() { return all.directory_ + "n" + std::to_string(below(kNames)); }
    UniqueFd open(int flags, std::initializer_list<int> expected) {
      UniqueFd fd(::open(name().c_str(), flags | O_CLOEXEC, 0644));
      if (!fd) all.failed("open", expected);
      return fd;
    }

    void step() {
      switch (below(8)) {
        case 0:
          return create();
        case 1:
          return all.returned("rename", ::rename(name().c_str(), name().c_str()), {ENOENT});
        case 2:
          return all.returned("unlink", ::unlink(name().c_str()), {ENOENT});
        case 3:
          return look_up();
        case 4:
          return read();
        case 5:
          return write();
        default:
          return copy();
      }
    }
    void create() {
      const int how = std::array{0, O_EXCL, O_TRUNC}[below(3)];
      const UniqueFd fd = open(O_RDWR | O_CREAT | how, {EEXIST});
      if (!fd) return;
      all.count("create");
      if (below(2) == 0)
        all.returned("ftruncate", ::ftruncate(fd.get(), static_cast<off_t>(below(300'000))), {});
    }
    void look_up() {
      struct stat st {};
      all.returned("stat", ::stat(name().c_str(), &st), {ENOENT});
    }
    void read() {
      const UniqueFd fd = open(O_RDONLY, {ENOENT});
      if (!fd) return;
      std::string text(below(100'000) + 1, '#');
      const ssize_t got = ::pread(fd.get(), text.data(), text.size(), static_cast<off_t>(below(200'000)));
      all.returned("read", got, {});
      if (got > 0) all.check(text.substr(0, static_cast<size_t>(got)));
    }
    void write() {
      const UniqueFd fd = open(O_WRONLY | (below(4) == 0 ? O_APPEND : 0), {ENOENT});
      if (!fd) return;
      const std::string text(below(100'000) + 1, letter);
      all.returned("write", ::pwrite(fd.get(), text.data(), text.size(), static_cast<off_t>(below(200'000))),
                   {});
    }
    void copy() {
      const UniqueFd from = open(O_RDONLY, {ENOENT}), to = open(O_WRONLY, {ENOENT});
      if (!from || !to) return;
      struct stat a {
      }, b{};
      if (::fstat(from.get(), &a) != 0 || ::fstat(to.get(), &b) != 0) return all.failed("fstat", {});
      if (a.st_ino == b.st_ino) return;
      auto in = static_cast<loff_t>(below(3) == 0 ? below(100'000) : 0), out = in;
      all.returned("copy_file_range",
                   ::copy_file_range(from.get(), &in, to.get(), &out, below(2) == 0 ? 1 << 30 : 50'000, 0),
                   {});
    }
  };

  void count(const std::string& operation) {
    const std::lock_guard lock(mutex_);
    ++done[operation];
  }
  void returned(const std::string& operation, ssize_t value, std::initializer_list<int> expected) {
    value < 0 ? failed(operation, expected) : count(operation);
  }
  void failed(const std::string& operation, std::initializer_list<int> expected) {
    const int code = errno;
    if (std::ranges::find(expected, code) != expected.end()) return;
    const std::lock_guard lock(mutex_);
    ++problems_[operation + ": " + std::strerror(code)];
  }
  /// Nobody writes anything but his letter, and what nobody wrote is zero.
  void check(const std::string& text) {
    const bool good =
        std::ranges::all_of(text, [](char c) { return c == 0 || (c >= 'a' && c < 'a' + kThreads); });
    if (good) return;
    const std::lock_guard lock(mutex_);
    ++problems_["a byte that nobody wrote"];
  }

  std::string directory_;
  std::mutex mutex_;
  std::map<std::string, uint64_t> problems_;
};

}  // namespace

TEST_CASE("eight threads at once on the names of one heap", "[stress]") {
  const Mount mount;
  for (const std::string& heap : mount.heaps()) {
    INFO("heap " << heap);
    Stress stress(mount.heap(heap));
    stress.run();
    CHECK(stress.problems() == "");  // NOLINT(readability-container-size-empty): its text is to be seen
    for (const char* operation :
         {"create", "rename", "unlink", "stat", "read", "write", "ftruncate", "copy_file_range"}) {
      INFO(operation);
      CHECK(stress.done[operation] > 0);
    }
    size_t left = 0;
    for (const auto& entry : std::filesystem::directory_iterator(mount.heap(heap))) {
      ++left;
      INFO(entry.path());
      const UniqueFd fd = open_file(entry.path(), O_RDONLY);
      const uint64_t size = size_of(fd);
      const std::string text = read_at(fd, 0, size + 1);
      CHECK(text.size() == size);
      const bool good =
          std::ranges::all_of(text, [](char c) { return c == 0 || (c >= 'a' && c < 'a' + kThreads); });
      CHECK(good);
    }
    CHECK(left <= kNames);
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(mount.heap(heap)))
      names.push_back(entry.path());
    for (const std::string& name : names) CHECK(::unlink(name.c_str()) == 0);
    CHECK(std::filesystem::is_empty(mount.heap(heap)));
  }
  // What nobody uses is nobody's any more.
  uint64_t bytes = 1;
  for (int i = 0; i < 50 && bytes > 0; ++i) {
    if (i > 0) ::usleep(100'000);
    bytes = 0;
    const Json status = mount.status();
    for (const Json& heap : status["heaps"]) bytes += heap["bytes"].get<uint64_t>();
  }
  CHECK(bytes == 0);
  CHECK(mount.status()["buffers"].empty());
}
