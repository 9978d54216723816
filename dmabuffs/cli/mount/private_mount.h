// SPDX-License-Identifier: MIT
/// A mount namespace of this process's own, where it may mount without privilege.
/// The mount that `exec` makes for its command: seen by nobody else, gone with it.
#pragma once
#include <string>
#include <vector>

#include "dmabuffs/base/child_process.h"
#include "dmabuffs/base/result.h"
#include "dmabuffs/base/unique_fd.h"

namespace dmabuffs::cli {

/// Moves this (single-threaded) process into a mount namespace of its own: mounts made in it are seen by it
/// and its children alone and go with the last of them. Without CAP_SYS_ADMIN it takes a user namespace too,
/// in which the caller keeps its uid and gid. EPERM, ENOSPC: such namespaces are switched off; the message
/// says how to allow them.
Result<void> enter_private_namespace();

/// How the mounts of this process's namespace, which is its own, and those of others share what is mounted
/// from now on: MS_SLAVE, MS_PRIVATE. All of them, also from within a chroot.
Result<void> set_propagation(unsigned long type);

/// Lets a program this process executes next keep CAP_SYS_ADMIN: execve(2) takes it from everyone but root.
/// For the child that mounts, between fork and execve. Does nothing for who lacks the capability.
void keep_mount_capability();

/// An empty directory that is removed when this process ends, however it ends: a child process outside the
/// namespace watches. Make it before enter_private_namespace().
class ScratchDirectory {
 public:
  /// In $XDG_RUNTIME_DIR or /tmp.
  static Result<ScratchDirectory> make();
  ScratchDirectory(ScratchDirectory&&) = default;
  ScratchDirectory& operator=(ScratchDirectory&&) = default;
  ~ScratchDirectory();
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  ScratchDirectory() = default;
  std::string path_;
  pid_t keeper_ = -1;
  UniqueFd alive_;  // the keeper reads end-of-file when this is closed
};

/// Receives the "READY=1" of a service (sd_notify(3)).
class ReadySocket {
 public:
  static Result<ReadySocket> make();
  [[nodiscard]] int fd() const { return fd_.get(); }
  /// For $NOTIFY_SOCKET.
  [[nodiscard]] const std::string& address() const { return address_; }
  /// Reads one datagram; true if `sender` says that it is ready.
  [[nodiscard]] bool says_ready(pid_t sender) const;

 private:
  UniqueFd fd_;
  std::string address_;
};

/// Starts `dmabuffs mount -f ARGUMENTS... MOUNTPOINT` as a child that ends with this process. `prepare` runs
/// in the child first.
Result<ChildProcess> start_daemon(const std::vector<std::string>& arguments, const std::string& mountpoint,
                                  const ReadySocket& ready, const std::function<void()>& prepare);

/// Takes the mount away and ends the daemon.
void stop_daemon(ChildProcess& daemon, const std::string& mountpoint);

}  // namespace dmabuffs::cli
