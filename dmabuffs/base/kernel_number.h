// SPDX-License-Identifier: MIT
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace dmabuffs {

/// A file of /proc or /sys that holds one number. It stays open, so that a reading is one system call; copies
/// share it. Thread-safe.
class KernelNumber {
 public:
  explicit KernelNumber(std::string path);
  /// What it says now; nothing for "max", a negative one, or where there is no file.
  [[nodiscard]] std::optional<uint64_t> read() const;
  [[nodiscard]] const std::string& path() const;

 private:
  struct File;
  std::shared_ptr<File> file_;
};

/// The number in a file that may be another's the next time.
inline std::optional<uint64_t> kernel_number(const std::string& path) {
  return KernelNumber(path).read();
}

/// Whether a kernel of this release ("6.12.3-amd64") is of that version or later; without one, this kernel.
bool kernel_since(int major, int minor, const std::string& release = "");

}  // namespace dmabuffs
