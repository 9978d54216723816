// SPDX-License-Identifier: MIT
// A host directory with a files/ room over it: the nodes are called as the session would, without a mount.
#pragma once
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "dmabuffs/cli/mount/private_mount.h"
#include "dmabuffs/tree/files/files.h"
#include "dmabuffs/tree/mount.h"

namespace files_test {

using namespace dmabuffs;

/// A fresh directory that goes with its owner, everyone may enter it.
class ScratchDirectory {
 public:
  ScratchDirectory() {
    std::string pattern = (std::filesystem::temp_directory_path() / "dmabuffs-files-XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
    ::chmod(path_.c_str(), 0755);
  }
  ~ScratchDirectory() {
    // Trees deeper than PATH_MAX are more than std::filesystem promises to remove.
    if (std::system(("rm -rf -- '" + path_ + "'").c_str()) != 0) std::abort();
  }
  ScratchDirectory(const ScratchDirectory&) = delete;
  ScratchDirectory& operator=(const ScratchDirectory&) = delete;
  [[nodiscard]] std::string path(const std::string& below = "") const {
    return below.empty() ? path_ : path_ + "/" + below;
  }

 private:
  std::string path_;
};

inline void put(const std::string& path, const std::string& text) {
  std::ofstream(path) << text;
}

inline std::string get(const std::string& path) {
  std::ifstream in(path);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

/// The daemon's umask is 0: the client's kernel has applied the client's.
class NoUmask {
 public:
  NoUmask() : before_(::umask(0)) {}
  ~NoUmask() { ::umask(before_); }

 private:
  mode_t before_;
};

inline MountSettings settings_for_everyone() {
  MountSettings settings;
  settings.allow_other = true;
  return settings;
}

struct Host {
  explicit Host(MountSettings settings = {}) : context(std::move(settings)) {
    root = make_files_root(context, {"host", tree.path()}).value();
  }
  NodePtr at(const std::string& path) {
    NodePtr node = root;
    std::stringstream parts(path);
    for (std::string part; std::getline(parts, part, '/');) node = node->lookup(me, part).value();
    return node;
  }

  NoUmask no_umask;
  ScratchDirectory tree;
  MountContext context;
  Caller me{::geteuid(), ::getegid(), static_cast<pid_t>(::getpid()), 0};
  NodePtr root;
};

template <class T>
int code(const Result<T>& result) {
  return result ? 0 : result.error().code;
}

/// What comes after a place, but "." and "..".
inline std::vector<DirectoryEntry> entries_of(OpenDirectory& listing, uint64_t after = 0) {
  std::vector<DirectoryEntry> entries;
  for (auto few = listing.list(after).value(); !few.empty(); few = listing.list(few.back().place).value())
    std::ranges::copy_if(few, std::back_inserter(entries),
                         [](const auto& entry) { return entry.name != "." && entry.name != ".."; });
  return entries;
}

inline std::string read_all(OpenFile& file) {
  std::string text(1 << 16, '\0');
  text.resize(file.read(0, std::as_writable_bytes(std::span(text))).value());
  return text;
}

inline Result<size_t> write_text(OpenFile& file, uint64_t offset, const std::string& text) {
  return file.write(offset, std::as_bytes(std::span(text)));
}

/// Runs `work` in a child process; its exit status is what `work` returns.
inline int in_child(const std::function<int()>& work) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(work());
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

/// A process of another user that does nothing but be asked about.
class Bystander {
 public:
  Bystander(uid_t uid, gid_t gid, std::vector<gid_t> groups, const std::function<void()>& extra = {}) {
    int ready[2];
    if (::pipe(ready) != 0) std::abort();
    pid_ = ::fork();
    if (pid_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      const bool switched = ::syscall(SYS_setgroups, groups.size(), groups.data()) == 0 &&
                            ::syscall(SYS_setresgid, gid, gid, gid) == 0 &&
                            ::syscall(SYS_setresuid, uid, uid, uid) == 0;
      if (!switched) ::_exit(1);
      if (extra) extra();
      const ssize_t told = ::write(ready[1], "", 1);
      while (told == 1) ::pause();
      ::_exit(1);
    }
    ::close(ready[1]);
    char byte;
    const bool there = ::read(ready[0], &byte, 1) == 1;
    ::close(ready[0]);
    if (!there) std::abort();
    caller_ = {uid, gid, pid_, 0};
  }
  ~Bystander() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  Bystander(const Bystander&) = delete;
  Bystander& operator=(const Bystander&) = delete;
  [[nodiscard]] const Caller& caller() const { return caller_; }

 private:
  pid_t pid_ = -1;
  Caller caller_;
};

/// Runs `work` on a thread with mounts of its own, which nobody else sees and which go with it.
inline void with_own_mounts(const std::function<void()>& work) {
  std::exception_ptr failed;
  std::thread thread([&] {
    try {
      if (::unshare(CLONE_NEWNS) != 0) throw std::runtime_error("this test needs root");
      if (auto cut = dmabuffs::cli::set_propagation(MS_PRIVATE); !cut)
        throw std::runtime_error(cut.error().message);
      work();
    } catch (...) {
      failed = std::current_exception();
    }
  });
  thread.join();
  if (failed) std::rethrow_exception(failed);
}

/// A file system mounted on a new directory; for with_own_mounts.
class HostMount {
 public:
  HostMount(std::string at, const char* type) : at_(std::move(at)) {
    ::mkdir(at_.c_str(), 0755);
    if (::mount(type, at_.c_str(), type, 0, nullptr) != 0) throw std::runtime_error("mount: " + at_);
  }
  ~HostMount() { ::umount2(at_.c_str(), MNT_DETACH); }
  HostMount(const HostMount&) = delete;
  HostMount& operator=(const HostMount&) = delete;
  [[nodiscard]] dev_t device() const {
    struct stat st {};
    return ::stat(at_.c_str(), &st) == 0 ? st.st_dev : 0;
  }

 private:
  std::string at_;
};

}  // namespace files_test
