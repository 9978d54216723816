// SPDX-License-Identifier: MIT
/// A file read from its disk, past the page cache: fast where the CPU is slow (a guest), and true of the
/// disk.
#pragma once
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <span>
#include <string>

#include "dmabuffs/base/mapping.h"
#include "dmabuffs/base/result.h"
#include "dmabuffs/base/unique_fd.h"

namespace dmabuffs {

class DirectReader {
 public:
  static Result<DirectReader> open(const std::string& path) {
    DirectReader reader;
    reader.path_ = path;
    reader.fd_ = UniqueFd(::open(path.c_str(), O_RDONLY | O_DIRECT | O_CLOEXEC));
    if (!reader.fd_ && errno == EINVAL) reader.fd_ = UniqueFd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!reader.fd_) return fail_errno(errno, path);
    auto memory = Mapping::anonymous(kPiece);
    if (!memory) return pass(std::move(memory));
    reader.memory_ = std::move(*memory);
    return reader;
  }
  /// What comes next, valid until the next call; empty at the end.
  Result<std::span<const std::byte>> next() {
    const ssize_t got = ::pread(fd_.get(), memory_.data(), kPiece, static_cast<off_t>(offset_));
    if (got < 0) return fail_errno(errno, path_);
    offset_ += static_cast<size_t>(got);
    return memory_.bytes().first(static_cast<size_t>(got));
  }
  [[nodiscard]] size_t offset() const { return offset_; }

 private:
  static constexpr size_t kPiece = size_t{4} << 20;
  std::string path_;
  UniqueFd fd_;
  Mapping memory_;
  size_t offset_ = 0;
};

}  // namespace dmabuffs
