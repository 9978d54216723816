// SPDX-License-Identifier: MIT
/// The files that `bench` moves bytes of: FILE, which is only read, and a scratch file beside it; their page
/// cache, and whether memory holds their bytes.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "dmabuffs/base/unique_fd.h"
#include "dmabuffs/transfer/end.h"

namespace dmabuffs::cli::bench {

inline constexpr uint64_t kLeastSize = uint64_t{1} << 20;

class BenchFile {
 public:
  /// An existing regular file, to be read. EINVAL: what it is can't be measured; says why.
  static Result<BenchFile> open(const std::string& path);
  /// A file of `size` bytes with all its blocks, in the directory of `path`, removed when this goes. ENOSPC.
  static Result<BenchFile> scratch_beside(const std::string& path, uint64_t size);
  BenchFile(BenchFile&&) = default;
  BenchFile& operator=(BenchFile&&) = delete;
  ~BenchFile();

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] uint64_t size() const { return size_; }
  [[nodiscard]] uint64_t device() const { return end_->device(); }
  [[nodiscard]] int fd() const { return fd_.get(); }
  /// -1: there is no direct I/O; no_direct() says why.
  [[nodiscard]] int direct_fd() const { return end_->direct_fd(); }
  [[nodiscard]] const std::string& no_direct() const { return end_->not_direct_reason(); }

  /// Writes its dirty pages and takes its pages out of the page cache. False: some are still there; nothing:
  /// the kernel won't say.
  [[nodiscard]] std::optional<bool> drop() const;
  /// Bytes in the page cache; nothing: the kernel won't say.
  [[nodiscard]] std::optional<uint64_t> cached() const;
  /// EIO: somebody changed it since it was opened.
  [[nodiscard]] Result<void> unchanged() const;
  /// Reads past the page cache where that can be done.
  [[nodiscard]] Result<void> read(uint64_t offset, std::span<std::byte> to) const;
  /// Changes a byte, for a check that has to notice.
  [[nodiscard]] Result<void> spoil(uint64_t offset) const;

 private:
  BenchFile() = default;
  Result<void> learn();

  std::string path_;
  bool temporary_ = false;
  UniqueFd fd_;
  std::shared_ptr<FileEnd> end_;
  uint64_t size_ = 0;
  struct timespec changed_ {};
};

/// Makes FILE of bytes that no file system can compress, if it is not there.
Result<void> create_file(const std::string& path, uint64_t size, const std::function<bool()>& interrupted);

using Get = std::function<Result<void>(uint64_t offset, std::span<std::byte> to)>;
using Put = std::function<Result<void>(uint64_t offset, std::span<const std::byte> from)>;
/// Has `put` take all of `file`, the rest up to `length` zeros. A `stamp` that is not 0 goes over the first
/// eight bytes of each page: the bytes of one run are no other's.
Result<void> fill_from(const BenchFile& file, uint64_t length, uint64_t stamp, const Put& put);
/// EIO, with the first offset: what `get` gives are not those bytes.
Result<void> check_content(const BenchFile& file, uint64_t length, uint64_t stamp, const Get& get);

}  // namespace dmabuffs::cli::bench
