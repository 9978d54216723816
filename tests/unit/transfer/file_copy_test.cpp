// SPDX-License-Identifier: MIT
/// Copies between two files, and from memory whose pages can't be had.
#include <sys/mman.h>
#include <sys/resource.h>

#include <csignal>

#include "dmabuffs/transfer/file_systems.h"
#include "transfer_support.h"

using namespace transfer_test;

namespace {

/// No file may become longer than this, while it lives.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(uint64_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    REQUIRE(::getrlimit(RLIMIT_FSIZE, &before_) == 0);
    const rlimit limit{bytes, before_.rlim_max};
    REQUIRE(::setrlimit(RLIMIT_FSIZE, &limit) == 0);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  void (*handler_)(int);
  rlimit before_{};
};

}  // namespace

TEST_CASE("files: what is stored before a copy by read and write fails is counted") {
  const DiskDirectory disk;
  const Bytes bytes = pattern(3 * kMiB, 31);
  const TestFile from(disk.path(), "from", bytes);
  const UniqueFd memory(::memfd_create("to", MFD_CLOEXEC));  // another file system: no copy_file_range
  REQUIRE(memory.valid());
  Engine engine({});
  Copy copy;
  copy.from = from.end();
  copy.to = std::make_shared<FileEnd>(memory.get(), UniqueFd(), "to", true);
  copy.length = bytes.size();
  const FileSizeLimit limit(kMiB + kMiB / 2);
  const Outcome outcome = engine.copy(copy);
  REQUIRE(outcome.error);
  CHECK(outcome.error->code == EFBIG);
  CHECK(outcome.bytes == kMiB + kMiB / 2);
  CHECK(by(outcome, Path::FileCopy) == outcome.bytes);
}

TEST_CASE("files: ranges of one file that overlap are refused, though it came in by two ways") {
  const DiskDirectory disk;
  Engine engine({});
  const Bytes bytes = pattern(kMiB, 32);
  const TestFile file(disk.path(), "file", bytes);
  const UniqueFd again(::open(file.path().c_str(), O_RDWR | O_CLOEXEC));
  Copy copy;
  copy.from = file.end();
  copy.to = std::make_shared<FileEnd>(again.get(), UniqueFd(), "again", true);
  copy.length = 600000;
  copy.to_offset = 1000;
  const Outcome outcome = engine.copy(copy);
  REQUIRE(outcome.error);
  CHECK(outcome.error->code == EIO);
  CHECK(outcome.bytes == 0);
  CHECK(file.content() == bytes);
  copy.to_offset = 600000;
  copy.length = 1000;
  CHECK_FALSE(engine.copy(copy).error);
}

TEST_CASE("files: pages of a buffer that can't be had are an error, not a signal") {
  const DiskDirectory disk;
  Buffers buffers;
  Workshop shop{Crew(0), BouncePool(4 * kMiB), {}};
  const auto buffer = buffers.make(Bytes(4 * kMiB));  // no hole, which would read as zeros without a page
  const auto lease = buffer->lease({0, 4 * kMiB}, Access::Read, 0);
  REQUIRE(lease);
  REQUIRE(::ftruncate(buffer->info().pid_fd, 0) == 0);  // stands for memory that has run out

  Bytes target(4 * kMiB);
  const Moved copied = copy_memory(shop, {(*lease)->bytes(), lease->get()}, {target}, nullptr);
  REQUIRE(copied.error);
  CHECK(copied.error->code == ENOMEM);
  CHECK(copied.bytes == 0);

  const TestFile file(disk.path(), "file");
  const auto end = file.end();
  const FilePart part{*end, end->direct_fd(), 0, (*lease)->bytes(), lease->get(), nullptr};
  for (const auto write : {write_bounced, write_pinned}) {
    const Moved written = write(shop, part);
    REQUIRE(written.error);
    CHECK(written.bytes == 0);
  }
  CHECK(file.size() == 0);
}

TEST_CASE("files: a small cached file is read from the cache, until a measurement says what is faster") {
  const DiskDirectory disk;
  Workshop shop{Crew(0), BouncePool(4 * kMiB), {}};
  CacheChoice choice;
  const TestFile small(disk.path(), "small", pattern(64 * kKiB, 33));
  const TestFile medium(disk.path(), "medium", pattern(512 * kKiB, 34));
  const auto small_end = small.end(), medium_end = medium.end();
  const auto by_cache = [&](const FileEnd& end, uint64_t length) {
    return choice.cache_is_faster(shop, end, {0, length}, nullptr);
  };
  CHECK(by_cache(*small_end, 64 * kKiB));
  const bool measured = by_cache(*medium_end, 512 * kKiB);
  CHECK(by_cache(*small_end, 64 * kKiB) == measured);
  small.make_cold();
  CHECK_FALSE(by_cache(*small_end, 64 * kKiB));
}
