// SPDX-License-Identifier: MIT
// What is written by passthrough, beside all else that changes a buffer. Hidden, as
// passthrough_heaps_test.cpp.
#include <fcntl.h>
#include <sys/stat.h>

#include <atomic>
#include <random>
#include <thread>

#include "passthrough_heaps.h"

using namespace mount_support;

namespace {

uint64_t written_by_daemon(const Mount& mount) {
  return mount.status()["through_daemon"]["written_bytes"].get<uint64_t>();
}

/// udmabuf's memory grows, and is the dma-buf as it is: its writes come to the daemon.
bool writes_pass(const std::string& path) {
  return path.find("/udmabuf/") == std::string::npos;
}

/// As some program that has the file as well closes it.
void close_a_twin(const UniqueFd& fd) {
  const UniqueFd twin(::dup(fd.get()));
}

struct timespec modified(const UniqueFd& fd) {
  struct stat st {};
  REQUIRE(::fstat(fd.get(), &st) == 0);
  return st.st_mtim;
}

bool later(const struct timespec& a, const struct timespec& b) {
  return a.tv_sec != b.tv_sec ? a.tv_sec > b.tv_sec : a.tv_nsec > b.tv_nsec;
}

}  // namespace

TEST_CASE("dma-buf passthrough: writers of a dma-heap's buffer pass the daemon from the first byte on",
          "[.][dmabuf-passthrough]") {
  const Mount mount;
  const std::string text = pattern(kSize, 11);
  on_each_heap(mount, [&](const std::string& path) {
    const uint64_t before = written_by_daemon(mount);
    const UniqueFd fd = open_file(path, O_RDWR | O_CREAT | O_TRUNC);
    for (size_t at = 0; at < kSize; at += 70'000) write_at(fd, at, text.substr(at, 70'000));
    CHECK(size_of(fd) == kSize);
    CHECK(same(read_at(fd, 0, kSize + 1), text));
    // Not a dma-buf yet.
    CHECK(::mmap(nullptr, kPage, PROT_READ, MAP_SHARED, fd.get(), 0) == MAP_FAILED);
    CHECK(errno == ENODEV);
    close_a_twin(fd);
    const Mapping mapping = map(fd, kSize);
    CHECK(same(text_of(mapping), text));
    write_at(fd, 5, "five");
    CHECK(same(text_of(mapping), text.substr(0, 5) + "five" + text.substr(9)));
    // Unlike that of a file on a disk it goes no further.
    CHECK(::mmap(nullptr, kSize + kPage, PROT_READ, MAP_SHARED, fd.get(), 0) == MAP_FAILED);
    CHECK(errno == EINVAL);
    // What is mapped has to stay.
    CHECK(::pwrite(fd.get(), "x", 1, kSize) == -1);
    CHECK(errno == EBUSY);
    CHECK(size_of(fd) == kSize);
    CHECK((written_by_daemon(mount) - before < kSize) == writes_pass(path));
  });
}

TEST_CASE("dma-buf passthrough: all ways to change a buffer, in any order, make what they make of a file",
          "[.][dmabuf-passthrough]") {
  const Mount mount({"-o", "recycle=64M"});
  const std::string source_text = pattern(1'000'000, 12);
  put(mount.data + "source", source_text);
  const UniqueFd source = open_file(mount.files + "source", O_RDONLY);
  on_each_heap(mount, [&](const std::string& path) {
    std::mt19937 random(5);
    const auto below = [&](size_t limit) { return random() % limit; };
    UniqueFd fd = open_file(path, O_RDWR | O_CREAT), append = open_file(path, O_WRONLY | O_APPEND);
    std::string model;
    const auto put_in_model = [&](size_t at, const std::string& text) {
      if (model.size() < at + text.size()) model.resize(at + text.size(), '\0');
      model.replace(at, text.size(), text);
    };
    for (unsigned step = 0; step < 250; ++step) {
      const size_t at = below(std::min<size_t>(model.size() + 50'000, 1'500'000));
      const std::string text = pattern(1 + below(size_t{1} << below(18)), step);
      const size_t what = below(12);
      INFO("step " << step << ", kind " << what << " at " << at << ", length " << text.size());
      switch (what) {
        case 0:
        case 1:
        case 2:
          write_at(fd, at, text);
          put_in_model(at, text);
          break;
        case 3:
          write_at(fd, model.size(), text);
          model += text;
          break;
        case 4:
          REQUIRE(::write(append.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()));
          model += text;
          break;
        case 5:
          REQUIRE(::ftruncate(fd.get(), static_cast<off_t>(at)) == 0);
          model.resize(at, '\0');
          break;
        case 6: {
          const size_t from = below(source_text.size() - text.size());
          REQUIRE(copy_range(source, static_cast<off_t>(from), fd, static_cast<off_t>(at), text.size()) ==
                  text.size());
          put_in_model(at, source_text.substr(from, text.size()));
          break;
        }
        case 7:
          close_a_twin(fd);
          break;
        case 8:
          REQUIRE(::fallocate(fd.get(), FALLOC_FL_KEEP_SIZE, static_cast<off_t>(at), 10'000) == 0);
          break;
        case 9:
          REQUIRE(::fallocate(fd.get(), 0, static_cast<off_t>(at), 10'000) == 0);
          if (model.size() < at + 10'000) model.resize(at + 10'000, '\0');
          break;
        case 10:
          REQUIRE(::fallocate(fd.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(at),
                              10'000) == 0);
          if (at < model.size()) model.replace(at, 10'000, std::min<size_t>(10'000, model.size() - at), '\0');
          break;
        default:
          if (below(4) == 0) {
            REQUIRE(::ftruncate(fd.get(), 0) == 0);
            model.clear();
          }
      }
      REQUIRE(size_of(fd) == model.size());
      REQUIRE(same(read_at(fd, 0, model.size() + 1), model));
    }
    const UniqueFd reader = open_file(path, O_RDONLY);
    CHECK(same(read_at(reader, 0, model.size() + 1), model));
    fd.reset();
    append.reset();
    CHECK(same(content(path), model));
  });
}

TEST_CASE("dma-buf passthrough: writers beside closes, copies and looks lose no byte",
          "[.][dmabuf-passthrough]") {
  const Mount mount;
  constexpr size_t kPiece = 10'007, kPieces = 150, kStart = size_t{1} << 20;
  const std::string start = pattern(kStart, 13);
  put(mount.data + "source", start);
  on_each_heap(mount, [&](const std::string& path) {
    const UniqueFd fd = open_file(path, O_RDWR | O_CREAT);
    write_at(fd, 0, std::string(kStart, 'x'));
    std::atomic<int> running{2}, failed{0};
    const auto writer = [&](size_t number) {
      const std::string text(kPiece, static_cast<char>('a' + number));
      for (size_t piece = 0; piece < kPieces; ++piece) {
        const size_t at = kStart + (2 * piece + number) * kPiece;
        if (::pwrite(fd.get(), text.data(), kPiece, static_cast<off_t>(at)) != kPiece) ++failed;
      }
      --running;
    };
    std::thread first(writer, 0), second(writer, 1);
    do {
      close_a_twin(fd);
      const UniqueFd source = open_file(mount.files + "source", O_RDONLY);
      if (copy_range(source, 0, fd, 0, kStart) != kStart) ++failed;
      if (size_of(fd) < kStart) ++failed;
    } while (running > 0);
    first.join();
    second.join();
    CHECK(failed == 0);
    std::string expected = start;
    for (size_t piece = 0; piece < kPieces; ++piece)
      expected += std::string(kPiece, 'a') + std::string(kPiece, 'b');
    CHECK(same(content(path), expected));
  });
}

TEST_CASE("dma-buf passthrough: the times follow who writes, whichever way", "[.][dmabuf-passthrough]") {
  const Mount mount;
  put(mount.data + "source", pattern(kSize, 14));
  on_each_heap(mount, [&](const std::string& path) {
    const UniqueFd fd = open_file(path, O_RDWR | O_CREAT);
    constexpr struct timespec past[2] = {{1000, 0}, {2000, 0}};
    const auto changes = [&](const char* what, const auto& change) {
      INFO(what);
      REQUIRE(::futimens(fd.get(), past) == 0);
      CHECK(modified(fd).tv_sec == 2000);
      change();
      const struct timespec now = modified(fd);
      CHECK(later(now, {1'700'000'000, 0}));
      close_a_twin(fd);
      CHECK_FALSE(later(now, modified(fd)));
    };
    changes("a write", [&] { write_at(fd, 0, "text"); });
    changes("a write that makes it longer", [&] { write_at(fd, 100'000, "text"); });
    changes("a copy", [&] {
      const UniqueFd source = open_file(mount.files + "source", O_RDONLY);
      REQUIRE(copy_range(source, 0, fd, 0, kSize) == kSize);
    });
    changes("ftruncate", [&] { REQUIRE(::ftruncate(fd.get(), 10) == 0); });
    changes("zeroes", [&] { REQUIRE(::fallocate(fd.get(), FALLOC_FL_ZERO_RANGE, 0, 5) == 0); });
    // A look, or a close, is no change.
    REQUIRE(::futimens(fd.get(), past) == 0);
    CHECK(read_at(fd, 0, 4).size() == 4);
    close_a_twin(fd);
    CHECK(modified(fd).tv_sec == 2000);
  });
}

TEST_CASE("dma-buf passthrough: with -o size= what is written comes to the daemon, which counts it",
          "[.][dmabuf-passthrough]") {
  const Mount mount({"-o", "size=4M"});
  on_each_heap(mount, [&](const std::string& path) {
    const UniqueFd fd = open_file(path, O_RDWR | O_CREAT);
    write_at(fd, 0, pattern(size_t{1} << 20, 15));
    const std::string more = pattern(size_t{8} << 20, 16);
    const ssize_t put = ::pwrite(fd.get(), more.data(), more.size(), 1 << 20);
    CHECK((put < 0 ? errno == ENOSPC : static_cast<size_t>(put) < more.size()));
  });
}

TEST_CASE("dma-buf passthrough: memory of a removed buffer serves the next one of its size, no larger one",
          "[.][dmabuf-passthrough]") {
  const Mount mount({"-o", "recycle=64M"});
  const std::string secret(size_t{4} << 20, 's'), text = pattern(size_t{4} << 20, 17);
  on_each_heap(mount, [&](const std::string& path) {
    const auto held = [&] {
      struct stat st {};
      REQUIRE(::stat(path.c_str(), &st) == 0);
      return static_cast<size_t>(st.st_blocks) * 512;
    };
    for (int round = 0; round < 3; ++round) {
      put(path, secret);
      REQUIRE(::unlink(path.c_str()) == 0);
      put(path, text);
      CHECK(held() == text.size());
      CHECK(same(content(path), text));
      REQUIRE(::unlink(path.c_str()) == 0);
    }
    // What is not written of it is zero, also for who maps all of it.
    put(path, secret);
    REQUIRE(::unlink(path.c_str()) == 0);
    const UniqueFd fd = open_file(path, O_RDWR | O_CREAT);
    write_at(fd, 0, "short");
    REQUIRE(::fallocate(fd.get(), FALLOC_FL_KEEP_SIZE, 0, static_cast<off_t>(secret.size())) == 0);
    CHECK(held() == secret.size());
    CHECK(same(text_of(map(fd, secret.size())), "short" + std::string(secret.size() - 5, '\0')));
  });
}

TEST_CASE("dma-buf passthrough: a copy out of a buffer that is written anew all the time is a whole one",
          "[.][dmabuf-passthrough]") {
  const Mount mount;
  on_each_heap(mount, [&](const std::string& path) {
    put(path, "first");
    std::atomic<bool> stop{false};
    std::thread writer([&] {
      while (!stop) {
        // Not open_file(): Catch2 is for one thread.
        const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_TRUNC | O_CLOEXEC));
        (void)!::write(fd.get(), "other", 5);
      }
    });
    int failed = 0;
    for (int round = 0; round < 150; ++round) {
      const UniqueFd from = open_file(path, O_RDONLY);
      const UniqueFd to = open_file(mount.files + "target", O_RDWR | O_CREAT | O_TRUNC);
      const ssize_t moved = ::copy_file_range(from.get(), nullptr, to.get(), nullptr, 100, 0);
      failed += moved != 0 && moved != 5;
    }
    stop = true;
    writer.join();
    CHECK(failed == 0);
  });
}
