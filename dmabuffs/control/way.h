// SPDX-License-Identifier: MIT
#pragma once
#include <functional>
#include <string>

#include "dmabuffs/base/mount_table.h"
#include "dmabuffs/base/unique_fd.h"

namespace dmabuffs {

/// Goes the way to `path` name by name, as the kernel would, and calls `enter` for each dmabuffs mount that
/// it leads into, with an O_PATH descriptor of where it does, before the mount is asked for anything. Ends
/// where the way does, and with the error of `enter`.
Result<void> follow(const std::string& path,
                    const std::function<Result<void>(const MountEntry&, const UniqueFd& at)>& enter);

/// Whether the way to `path` leads into a dmabuffs mount, which is not asked.
bool lies_in_mount(const std::string& path);

/// Whether the daemon of a dmabuffs mount on the way to `path` has died, as the mount itself says.
bool has_dead_daemon(const std::string& path);

/// Why `path` is not there, where a mount's heaps/ lacks that heap, or heaps/ itself is missing from a
/// directory on which nothing is mounted; else `otherwise`.
std::string why_missing(const std::string& path, const std::string& otherwise);

/// Before something is done to `path` that could wait for ever: ETIMEDOUT where a dmabuffs mount on the way
/// to it does not answer for ten seconds, naming its daemon and the remedy. (One that is
/// stopped after that keeps its clients waiting all the same.)
Result<void> check_answers(const std::string& path);

}  // namespace dmabuffs
