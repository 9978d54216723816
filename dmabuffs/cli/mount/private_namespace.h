// SPDX-License-Identifier: MIT
/// A mount namespace of this process's own, where it may mount without privilege.
#pragma once
#include "dmabuffs/base/result.h"

namespace dmabuffs::cli {

/// Moves this (single-threaded) process into a mount namespace of its own: mounts made in it are seen by it
/// and its children alone and go with the last of them. Without CAP_SYS_ADMIN it takes a user namespace too,
/// in which the caller keeps his uid and gid. EPERM, ENOSPC: such namespaces are switched off; the message
/// says how to allow them.
Result<void> enter_private_namespace();

/// How the mounts of this process's namespace, which is its own, and those of others share what is mounted
/// from now on: MS_SLAVE, MS_PRIVATE. All of them, also from within a chroot.
Result<void> set_propagation(unsigned long type);

/// Lets a program this process executes next keep CAP_SYS_ADMIN: execve(2) takes it from everyone but root.
/// For the child that mounts, between fork and execve. Does nothing for who lacks the capability.
void keep_mount_capability();

}  // namespace dmabuffs::cli
