// SPDX-License-Identifier: MIT
/// How a client names a file of the mount to the daemon: by a ticket, which an ioctl on its open descriptor
/// gives. The kernel has judged the open (modes, ACLs, read-only mounts, namespaces, security modules), so
/// the daemon need not. Used by both sides.
#pragma once
#include <sys/ioctl.h>

#include <array>
#include <cstdio>
#include <string>

namespace dmabuffs {

using TicketBits = std::array<unsigned char, 16>;

/// ENOTTY: no regular file of a mount of this program; EBUSY: the user has too many tickets out.
inline constexpr unsigned long kTicketRequest = _IOR(0xDB, 1, TicketBits);

/// As it stands in a message: {"ticket":"0123…"}.
inline std::string to_text(const TicketBits& bits) {
  std::string text;
  for (const unsigned char byte : bits) {
    char digits[3];
    std::snprintf(digits, sizeof digits, "%02x", byte);
    text += digits;
  }
  return text;
}

}  // namespace dmabuffs
