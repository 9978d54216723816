// SPDX-License-Identifier: MIT
/// What the tests of heaps and the budget share.
#pragma once
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "catch.h"
#include "dmabuffs/base/range.h"
#include "dmabuffs/heap/budget.h"

namespace heap_test {

/// A directory of its own for one test, removed afterwards.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string pattern = (std::filesystem::temp_directory_path() / "dmabuffs-test-XXXXXX").string();
    REQUIRE(::mkdtemp(pattern.data()) != nullptr);
    path_ = pattern;
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  ~TemporaryDirectory() { std::filesystem::remove_all(path_); }

  [[nodiscard]] const std::string& path() const { return path_; }
  /// Writes a file below it, with the directories that takes.
  void write(const std::string& name, const std::string& text) const {
    const std::filesystem::path file = path_ + "/" + name;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text;
  }

 private:
  std::string path_;
};

/// A budget that only the machine limits.
inline dmabuffs::Budget::Limits generous() {
  return {uint64_t{1} << 50, uint64_t{1} << 50, ::getuid()};
}

/// True where `node` can be used. With DMABUFFS_REAL=1 (set where the devices must be there) its absence is a
/// failure.
inline bool have_device(const std::string& node) {
  if (::access(node.c_str(), R_OK | W_OK) == 0) return true;
  const char* real = std::getenv("DMABUFFS_REAL");
  if (real != nullptr && std::string(real) == "1")
    FAIL(node << " is missing, and DMABUFFS_REAL=1 asks for it");
  return false;
}

}  // namespace heap_test
