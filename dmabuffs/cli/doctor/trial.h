// SPDX-License-Identifier: MIT
/// Whether a mount can be made: found out by making one, in a mount namespace that goes with its process.
#pragma once
#include <functional>
#include <string>

namespace dmabuffs::cli {

/// Each says what was refused, or nothing. `become` is called in the process that tries; false: it can't be
/// that user.
/// With mount(2), by a user who has CAP_SYS_ADMIN; not tried where others would see it.
std::string why_no_mount(const std::function<bool()>& become);
/// As `dmabuffs exec` does.
std::string why_no_private_mount(const std::function<bool()>& become);
/// What keeps a set-user-ID program such as `helper` from mounting; not tried, since others would see it.
std::string why_no_setuid(const std::string& helper);

/// Whether this process is in the machine's own user namespace.
bool in_first_user_namespace();

/// "docker", "podman", "chroot"...; empty: none that is known.
std::string container_here();

}  // namespace dmabuffs::cli
