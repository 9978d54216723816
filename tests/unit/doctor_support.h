// SPDX-License-Identifier: MIT
/// Machines for doctor and bench to look at.
#pragma once
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>

#include "catch.h"
#include "dmabuffs/cli/doctor/checks.h"

namespace doctor_test {

using namespace dmabuffs::cli;

/// A machine made of plain files in a directory that goes with it.
class Files {
 public:
  Files() {
    std::string path = std::filesystem::canonical(std::filesystem::temp_directory_path()) / "doctor.XXXXXX";
    REQUIRE(::mkdtemp(path.data()) != nullptr);
    machine.root = path;
  }
  Files(const Files&) = delete;
  Files& operator=(const Files&) = delete;
  ~Files() { std::filesystem::remove_all(machine.root); }

  void put(const std::string& path, const std::string& text = "", unsigned mode = 0600) const {
    const std::filesystem::path file = machine.root + path;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text;
    std::filesystem::permissions(file, static_cast<std::filesystem::perms>(mode));
  }
  /// A symbolic link to a directory of the machine.
  void link(const std::string& path, const std::string& target) const {
    std::filesystem::create_directories(std::filesystem::path(machine.root + path).parent_path());
    std::filesystem::create_directory_symlink(machine.root + target, machine.root + path);
  }
  void remove(const std::string& path) const { std::filesystem::remove(machine.root + path); }
  Machine machine;
};

/// One that has all that a mount needs, and no dma-bufs.
class MadeUp : public Files {
 public:
  MadeUp() {
    machine.user = "alice";
    machine.kernel = "6.12.1-amd64";
    machine.libfuse = 317;
    machine.may_mount = machine.may_pass_through = true;
    machine.descriptor_limit = 1 << 20;
    machine.io_uring = true;
    machine.open_error = [this](const std::string& node) {
      if (!machine.exists(node.substr(machine.root.size()))) return ENOENT;
      const auto found = refused.find(node.substr(machine.root.size()));
      return found == refused.end() ? 0 : found->second;
    };
    put("/dev/fuse");
    put("/usr/bin/fusermount3", "", 04755);
    put("/etc/mtab");
    put("/proc/meminfo", "MemTotal: 8388608 kB\nMemAvailable: 6291456 kB\n");
    put("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_overcommit_hugepages", "2048\n");
  }
  void udmabuf(const std::string& limit_mb) {
    put("/dev/udmabuf");
    put("/sys/module/udmabuf/parameters/size_limit_mb", limit_mb + "\n");
    put("/sys/module/udmabuf/parameters/list_limit", "1024\n");
  }

  [[nodiscard]] Check check(const std::string& name) const {
    for (const Check& found : diagnose(machine).checks)
      if (found.name == name) return found;
    FAIL("no check of the name " << name);
    return {};
  }
  [[nodiscard]] HeapReport heap(const std::string& name) const {
    for (const HeapReport& found : diagnose(machine).heaps)
      if (found.name == name) return found;
    FAIL("no heap of the name " << name);
    return {};
  }

  void refuse(const std::string& node, int error = EACCES) { refused[node] = error; }

 private:
  std::map<std::string, int> refused;  // node: the errno of its open
};

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace doctor_test
