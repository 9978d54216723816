// SPDX-License-Identifier: MIT
/// One message of the control socket: a JSON object and the descriptors that came with it. Used by both
/// sides.
/// How a client names a file of the mount to the daemon: by a ticket, which an ioctl on its open descriptor
/// gives. The kernel has judged the open (modes, ACLs, read-only mounts, namespaces, security modules), so
/// the daemon need not. Used by both sides.
#pragma once
#include <sys/ioctl.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "dmabuffs/base/result.h"
#include "dmabuffs/base/unique_fd.h"

namespace dmabuffs {

using Json = nlohmann::json;

/// Bytes of JSON in one message, at most; and descriptors.
inline constexpr size_t kMaxMessageBytes = 64 * 1024;
inline constexpr size_t kMaxMessageFds = 16;
/// Arrays and objects in one another: to copy or print them takes a stack that deep.
inline constexpr int kMaxMessageDepth = 16;
/// Raised when a client of an older protocol would misunderstand a message.
inline constexpr int kControlProtocol = 2;

struct Message {  // NOLINT(bugprone-exception-escape): moving nlohmann's json does not throw
  Json body;
  std::vector<UniqueFd> fds;
};

/// Compact JSON; bytes that are no UTF-8 (file names may hold any) become U+FFFD instead of an exception.
std::string to_text(const Json& json, int indent = -1);

/// Sends one message; `fds` stay the caller's. With `wait` false a full queue is EAGAIN. EMSGSIZE: too long;
/// EPIPE: the other side has gone.
Result<void> send_text(int socket, const std::string& text, std::span<const int> fds = {}, bool wait = true);
Result<void> send_message(int socket, const Json& body, std::span<const int> fds = {}, bool wait = true);

/// Takes the next message; nullopt when the other side has closed. EBADMSG (not a JSON object) and EMSGSIZE
/// (too many bytes or descriptors) leave the connection usable: the message is consumed and its descriptors
/// are closed.
Result<std::optional<Message>> receive_message(int socket);
/// As it came, its descriptors put behind `fds`, of EMSGSIZE also: a stranger's may hang whoever closes it
/// (control/server/door.h).
Result<std::optional<std::string>> receive_text(int socket, std::vector<UniqueFd>& fds);
/// EBADMSG: not a JSON object, or one too deep.
Result<Json> parse_message(const std::string& text);

/// The members of an object from an untrusted sender: nullopt where it is missing or of another type.
std::optional<std::string> text_of(const Json& object, const char* key);
std::optional<uint64_t> number_of(const Json& object, const char* key);
bool flag_of(const Json& object, const char* key);

/// The text of somebody else in a log or on a terminal: control characters, which could forge lines or drive
/// the terminal, become '?'.
std::string printable(std::string text);

/// {"ok":false,"code":"ENOSPC","message":…} and back; a missing code counts as EIO.
Json error_reply(const Error& error);
Error error_of(const Json& reply);
/// The reply of a daemon that has no memory, for which it takes none.
void send_no_memory(int socket);

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
