// SPDX-License-Identifier: MIT
/// Where a command's bytes go: standard output, or a file that is there whole or not at all.
#pragma once
#include <cstddef>
#include <span>
#include <string>

#include "dmabuffs/base/result.h"
#include "dmabuffs/base/unique_fd.h"

namespace dmabuffs::cli {

/// All of `bytes`. EPIPE: nobody reads them any more.
Result<void> write_all(int fd, std::span<const std::byte> bytes, const std::string& name);

/// Is written under another name, which it has until finish(); an error or a signal leaves nothing of it, and
/// what was there before as it was. A device or pipe is written as it is. One at a time.
class WholeFile {
 public:
  /// "-": standard output.
  static Result<WholeFile> create(const std::string& path);
  WholeFile(WholeFile&& other) noexcept;
  WholeFile& operator=(WholeFile&&) = delete;
  ~WholeFile();

  Result<void> write(std::span<const std::byte> bytes);
  Result<void> finish();

 private:
  WholeFile() = default;
  std::string path_;
  std::string unfinished_;  ///< empty: it is written as it is
  UniqueFd fd_;
};

}  // namespace dmabuffs::cli
