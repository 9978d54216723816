// SPDX-License-Identifier: MIT
/// A file that is looked into: of a mount or not, a device, a pipe.
#pragma once
#include <sys/stat.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "dmabuffs/base/result.h"
#include "dmabuffs/base/unique_fd.h"
#include "dmabuffs/image/band.h"

namespace dmabuffs::cli {

class Source {
 public:
  /// "-": standard input, from where it stands. ETIMEDOUT: it lies in a mount that does not answer.
  static Result<Source> open(const std::string& path);

  [[nodiscard]] const std::string& name() const { return name_; }
  /// Bytes; nothing: it is a pipe or the like, whose bytes come one after another.
  [[nodiscard]] std::optional<uint64_t> size() const { return size_; }

  /// Whether `path` names this very file (not: a pipe, a device that takes bytes and gives others).
  [[nodiscard]] bool is(const std::string& path) const;

  /// All of `to`. EIO: there are fewer bytes.
  Result<void> read(uint64_t offset, std::span<std::byte> to) const;
  [[nodiscard]] image::ReadAt reader(uint64_t offset = 0) const;
  /// Of a pipe: what comes next; less than `to` has room for only at its end.
  Result<size_t> read_next(std::span<std::byte> to);

  /// Takes a pipe's bytes into memory, `most` of them, so that it has a size and any place of it can be read.
  /// EFBIG: without `most` there are more than kMostHeld.
  Result<void> hold(std::optional<uint64_t> most);
  static constexpr uint64_t kMostHeld = uint64_t{1} << 30;

 private:
  std::string name_;
  UniqueFd fd_;
  struct stat file_ {};
  uint64_t start_ = 0;
  std::optional<uint64_t> size_;
};

}  // namespace dmabuffs::cli
