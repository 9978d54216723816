// SPDX-License-Identifier: MIT
// A mount of the program with all heaps of this machine, for tests that make system calls on it.
#pragma once
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "catch.h"
#include "dmabuffs/base/unique_fd.h"
#include "dmabuffs/control/message.h"

namespace mount_support {

using dmabuffs::Json;
using dmabuffs::UniqueFd;

inline int run(std::vector<std::string> words) {
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  const pid_t child = ::fork();
  if (child == 0) {
    ::execv(argv[0], argv.data());
    ::_exit(127);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

inline std::string content(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

inline void put(const std::string& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

inline UniqueFd open_file(const std::string& path, int flags) {
  UniqueFd fd(::open(path.c_str(), flags | O_CLOEXEC, 0644));
  INFO(path << ": " << std::strerror(errno));
  REQUIRE(fd);
  return fd;
}

inline uint64_t size_of(const UniqueFd& fd) {
  struct stat st {};
  REQUIRE(::fstat(fd.get(), &st) == 0);
  return static_cast<uint64_t>(st.st_size);
}

inline std::string read_at(const UniqueFd& fd, uint64_t offset, size_t length) {
  std::string text(length, '\0');
  size_t done = 0;
  while (done < length) {
    const ssize_t got =
        ::pread(fd.get(), text.data() + done, length - done, static_cast<off_t>(offset + done));
    REQUIRE(got >= 0);
    if (got == 0) break;
    done += static_cast<size_t>(got);
  }
  text.resize(done);
  return text;
}

inline void write_at(const UniqueFd& fd, uint64_t offset, const std::string& text) {
  size_t done = 0;
  while (done < text.size()) {
    const ssize_t put =
        ::pwrite(fd.get(), text.data() + done, text.size() - done, static_cast<off_t>(offset + done));
    INFO(std::strerror(errno));
    REQUIRE(put > 0);
    done += static_cast<size_t>(put);
  }
}

/// As cp does: until all is copied or there is no more.
inline uint64_t copy_range(const UniqueFd& from, uint64_t from_offset, const UniqueFd& to, uint64_t to_offset,
                           uint64_t length) {
  auto in = static_cast<loff_t>(from_offset), out = static_cast<loff_t>(to_offset);
  uint64_t done = 0;
  while (done < length) {
    const ssize_t moved = ::copy_file_range(from.get(), &in, to.get(), &out, length - done, 0);
    INFO("copy_file_range: " << std::strerror(errno));
    REQUIRE(moved >= 0);
    if (moved == 0) break;
    done += static_cast<uint64_t>(moved);
  }
  return done;
}

struct Mount {
  std::string work, at, data, files;

  explicit Mount(const std::vector<std::string>& options = {}) {
    std::string pattern = (std::filesystem::temp_directory_path() / "dmabuffs-mount-XXXXXX").string();
    REQUIRE(::mkdtemp(pattern.data()) != nullptr);
    work = pattern;
    at = work + "/mnt";
    data = work + "/data/";
    files = at + "/files/data/";
    std::filesystem::create_directory(at);
    std::filesystem::create_directory(data);
    std::vector<std::string> words{DMABUFFS_BINARY, "mount", "--files", "data=" + work + "/data"};
    words.insert(words.end(), options.begin(), options.end());
    words.push_back(at);
    REQUIRE(run(words) == 0);
  }
  ~Mount() {
    // Busy when a failed test has files open.
    if (run({DMABUFFS_BINARY, "umount", at}) != 0) {
      CHECK(false);
      run({DMABUFFS_BINARY, "umount", "--lazy", at});
    }
    std::filesystem::remove_all(work);
  }
  Mount(const Mount&) = delete;
  Mount& operator=(const Mount&) = delete;

  /// Names of the heaps that the caller may make files in, memfd first: the one that every machine has.
  [[nodiscard]] std::vector<std::string> heaps() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(at + "/heaps"))
      if (::access(entry.path().c_str(), W_OK) == 0 && !entry.is_symlink() &&
          entry.path().filename() != "import")
        names.push_back(entry.path().filename());
    std::ranges::sort(names);
    std::ranges::stable_partition(names, [](const std::string& name) { return name == "memfd"; });
    return names;
  }
  [[nodiscard]] std::string heap(const std::string& name) const { return at + "/heaps/" + name + "/"; }
  [[nodiscard]] Json status() const { return Json::parse(content(at + "/status")); }
  [[nodiscard]] uint64_t passthrough_opens() const {
    return status()["passthrough"]["opens"].get<uint64_t>();
  }
};

}  // namespace mount_support
