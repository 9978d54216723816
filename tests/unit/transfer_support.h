// SPDX-License-Identifier: MIT
/// What the tests of transfers share: files on a real disk, buffers of a real heap, bytes to compare.
#pragma once
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "catch.h"
#include "dmabuffs/base/range.h"
#include "dmabuffs/buffer/recycler.h"
#include "dmabuffs/heap/heap.h"
#include "dmabuffs/transfer/engine.h"

namespace transfer_test {

using namespace dmabuffs;
using Bytes = std::vector<std::byte>;

/// Bytes that differ from page to page and from seed to seed; none of them zero, as fresh memory is.
inline Bytes pattern(size_t length, unsigned seed) {
  Bytes bytes(length);
  std::mt19937_64 random(seed);
  for (size_t at = 0; at < length; at += 8) {
    const uint64_t word = random() | 0x0101010101010101u;
    for (size_t byte = 0; byte < 8 && at + byte < length; ++byte) {
      bytes[at + byte] = static_cast<std::byte>(word >> (8 * byte));
    }
  }
  return bytes;
}

inline bool run(const std::string& command) {
  return std::system((command + " >/dev/null 2>&1").c_str()) == 0;
}

/// A directory that goes with all that is in it.
class TemporaryDirectory {
 public:
  explicit TemporaryDirectory(const std::string& parent) {
    std::string name = parent + "/dmabuffs-test-XXXXXX";
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  ~TemporaryDirectory() { run("rm -rf '" + path_ + "'"); }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

/// An ext4 file system of its own in a loop device; needs root.
class LoopDisk {
 public:
  explicit LoopDisk(uint64_t mebibytes) : directory_("/tmp") {
    const std::string image = directory_.path() + "/image";
    if (::geteuid() != 0 || ::mkdir(path().c_str(), 0700) != 0) return;
    mounted_ =
        run("truncate -s " + std::to_string(mebibytes) + "M " + image +
            " && mkfs.ext4 -q -m 0 -O ^has_journal " + image + " && mount -o loop " + image + " " + path());
  }
  ~LoopDisk() {
    if (mounted_) run("umount " + path());
  }
  LoopDisk(const LoopDisk&) = delete;
  LoopDisk& operator=(const LoopDisk&) = delete;
  [[nodiscard]] bool mounted() const { return mounted_; }
  [[nodiscard]] std::string path() const { return directory_.path() + "/mnt"; }

 private:
  TemporaryDirectory directory_;
  bool mounted_ = false;
};

/// An open file, at first with `content`.
class TestFile {
 public:
  TestFile(const std::string& directory, const std::string& name, const Bytes& content = {})
      : path_(directory + "/" + name),
        fd_(::open(path_.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)) {
    REQUIRE(fd_.valid());
    REQUIRE(::pwrite(fd_.get(), content.data(), content.size(), 0) == static_cast<ssize_t>(content.size()));
  }
  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::shared_ptr<FileEnd> end() const {
    return std::make_shared<FileEnd>(fd_.get(), UniqueFd(), path_, true);
  }
  [[nodiscard]] uint64_t size() const {
    struct stat st {};
    REQUIRE(::fstat(fd_.get(), &st) == 0);
    return static_cast<uint64_t>(st.st_size);
  }
  [[nodiscard]] Bytes content() const {
    Bytes bytes(size());
    REQUIRE(::pread(fd_.get(), bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()));
    return bytes;
  }
  /// Writes it to the disk and takes it out of the page cache.
  void make_cold() const {
    REQUIRE(::fsync(fd_.get()) == 0);
    REQUIRE(::posix_fadvise(fd_.get(), 0, 0, POSIX_FADV_DONTNEED) == 0);
  }

 private:
  std::string path_;
  UniqueFd fd_;
};

/// A directory whose files do direct I/O to a device: /var/tmp where that is a disk, else a loop disk.
class DiskDirectory {
 public:
  DiskDirectory() {
    auto directory = std::make_unique<TemporaryDirectory>("/var/tmp");
    if (does_direct_io(directory->path())) {
      directory_ = std::move(directory);
      return;
    }
    loop_ = std::make_unique<LoopDisk>(512);
    INFO("the tests of transfers need /var/tmp on a disk file system, or root and a loop device");
    REQUIRE(loop_->mounted());
  }
  [[nodiscard]] std::string path() const { return directory_ ? directory_->path() : loop_->path(); }

 private:
  static bool does_direct_io(const std::string& directory) {
    const TestFile probe(directory, "probe");
    struct statx st {};
    return ::statx(probe.fd(), "", AT_EMPTY_PATH, STATX_DIOALIGN, &st) == 0 &&
           (st.stx_mask & STATX_DIOALIGN) != 0 && st.stx_dio_offset_align != 0;
  }
  std::unique_ptr<TemporaryDirectory> directory_;
  std::unique_ptr<LoopDisk> loop_;
};

/// Heaps and the buffers made of them.
class Buffers {
 public:
  Buffers() : budget_({uint64_t{3} << 30, 0, ::getuid()}), recycler_(0) {
    auto heaps = HeapRegistry::make(budget_, {});
    REQUIRE(heaps);
    heaps_ = std::move(*heaps);
  }
  [[nodiscard]] std::shared_ptr<Heap> heap(const std::string& name) { return heaps_->find(name); }
  std::shared_ptr<Buffer> make(const std::string& heap_name = "memfd") {
    const auto heap = heaps_->find(heap_name);
    REQUIRE(heap);
    return Buffer::make(heap, recycler_, ::getuid(), "test");
  }
  std::shared_ptr<Buffer> make(const Bytes& content, const std::string& heap_name = "memfd") {
    auto buffer = make(heap_name);
    const auto put = buffer->write(0, content);
    REQUIRE(put);
    REQUIRE(*put == content.size());
    REQUIRE(buffer->flush());
    return buffer;
  }

 private:
  Budget budget_;
  Recycler recycler_;
  std::unique_ptr<HeapRegistry> heaps_;
};

inline Bytes content(Buffer& buffer) {
  Bytes bytes(buffer.size());
  for (size_t at = 0; at < bytes.size();) {
    const auto got = buffer.read(at, std::span(bytes).subspan(at));
    REQUIRE(got);
    REQUIRE(*got > 0);
    at += *got;
  }
  return bytes;
}

inline uint64_t by(const Outcome& outcome, Path path) {
  return outcome.paths[static_cast<size_t>(path)];
}

inline Copy load_of(const TestFile& file, const std::shared_ptr<Buffer>& buffer) {
  Copy copy;
  copy.from = file.end();
  copy.to = buffer;
  copy.length = copy.expected_end = file.size();
  return copy;
}

inline Copy save_of(const std::shared_ptr<Buffer>& buffer, const TestFile& file) {
  Copy copy;
  copy.from = buffer;
  copy.to = file.end();
  copy.length = buffer->size();
  return copy;
}

inline Bytes part_of(const Bytes& bytes, uint64_t offset, uint64_t length) {
  return {bytes.begin() + static_cast<ptrdiff_t>(offset),
          bytes.begin() + static_cast<ptrdiff_t>(offset + length)};
}

}  // namespace transfer_test
