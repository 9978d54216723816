// SPDX-License-Identifier: MIT
#include "dmabuffs/control/message.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstring>
#include "dmabuffs/base/io.h"

namespace dmabuffs {

namespace {

// A reply must fit a message whatever name a client put into it.
constexpr size_t kMaxErrorText = 4096;

constexpr size_t kMostFds = 253;  // SCM_MAX_FD: what finds no room the kernel would close

union ControlBytes {
  cmsghdr align;
  std::array<char, CMSG_SPACE(sizeof(int) * kMostFds)> bytes;
};

/// recvmsg(2). ECONNRESET (the other side closed with a message of ours unread) comes once and before its
/// last words, which may say why it closed: so it is asked again.
ssize_t take(int socket, msghdr& header) {
  bool reset = false;
  while (true) {
    const ssize_t got = ::recvmsg(socket, &header, MSG_CMSG_CLOEXEC);
    if (got >= 0 || (errno != EINTR && errno != ECONNRESET) || (errno == ECONNRESET && reset)) return got;
    reset = reset || errno == ECONNRESET;
  }
}

size_t take_descriptors(msghdr& header, std::vector<UniqueFd>& fds) {
  size_t taken = 0;
  for (cmsghdr* part = CMSG_FIRSTHDR(&header); part; part = CMSG_NXTHDR(&header, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(part) + i * sizeof(int), sizeof fd);
      fds.emplace_back(fd);
    }
    taken += count;
  }
  return taken;
}

}  // namespace

std::string to_text(const Json& json, int indent) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

Result<void> send_message(int socket, const Json& body, std::span<const int> fds, bool wait) {
  return send_text(socket, to_text(body), fds, wait);
}

Result<void> send_text(int socket, const std::string& text, std::span<const int> fds, bool wait) {
  if (text.size() > kMaxMessageBytes || fds.size() > kMaxMessageFds)
    return fail(EMSGSIZE, "control message: " + std::to_string(text.size()) + " bytes and " +
                              std::to_string(fds.size()) + " descriptors are too many for one message");
  iovec part{const_cast<char*>(text.data()), text.size()};
  ControlBytes control{};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  if (!fds.empty()) {
    header.msg_control = control.bytes.data();
    header.msg_controllen = CMSG_SPACE(fds.size_bytes());
    cmsghdr* rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(fds.size_bytes());
    std::memcpy(CMSG_DATA(rights), fds.data(), fds.size_bytes());
  }
  const int flags = MSG_NOSIGNAL | (wait ? 0 : MSG_DONTWAIT);
  if (again([&] { return ::sendmsg(socket, &header, flags); }) < 0)
    return fail_errno(errno, "control socket");
  return {};
}

Result<std::optional<std::string>> receive_text(int socket, std::vector<UniqueFd>& fds) {
  std::string text(kMaxMessageBytes, '\0');
  iovec part{text.data(), text.size()};
  ControlBytes control{};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control.bytes.data();
  header.msg_controllen = control.bytes.size();
  const ssize_t got = take(socket, header);
  if (got < 0) {
    if (errno == ECONNRESET) return std::nullopt;
    return fail_errno(errno, "control socket");
  }
  const size_t count = take_descriptors(header, fds);
  if (got == 0) return std::nullopt;
  if (header.msg_flags & MSG_TRUNC)
    return fail(EMSGSIZE, "control message: more than " + std::to_string(kMaxMessageBytes) + " bytes");
  if (count > kMaxMessageFds || (header.msg_flags & MSG_CTRUNC) != 0)
    return fail(EMSGSIZE, "control message: more than " + std::to_string(kMaxMessageFds) +
                              " descriptors, or more than this process may hold open");
  text.resize(static_cast<size_t>(got));
  return text;
}

Result<Json> parse_message(const std::string& text) {
  bool deep = false;
  const auto shallow = [&deep](int depth, Json::parse_event_t event, const Json&) {
    const bool starts =
        event == Json::parse_event_t::array_start || event == Json::parse_event_t::object_start;
    deep = deep || (starts && depth >= kMaxMessageDepth);
    return !deep;
  };
  Json body = Json::parse(text, shallow, /*allow_exceptions=*/false);
  if (deep)
    return fail(EBADMSG, "control message: more than " + std::to_string(kMaxMessageDepth) +
                             " levels of arrays and objects");
  if (!body.is_object()) return fail(EBADMSG, "control message: not a JSON object");
  return body;
}

Result<std::optional<Message>> receive_message(int socket) {
  Message message;
  auto text = receive_text(socket, message.fds);
  if (!text) return pass(std::move(text));
  if (!text->has_value()) return std::nullopt;
  message.body = TRY(parse_message(**text));
  return message;
}

std::optional<std::string> text_of(const Json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_string()) return std::nullopt;
  return found->get<std::string>();
}

std::optional<uint64_t> number_of(const Json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_number_integer()) return std::nullopt;
  if (!found->is_number_unsigned() && found->get<int64_t>() < 0) return std::nullopt;
  return found->get<uint64_t>();
}

bool flag_of(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_boolean() && found->get<bool>();
}

std::string printable(std::string text) {
  constexpr unsigned char kSpace = 0x20, kDelete = 0x7f;
  std::replace_if(
      text.begin(), text.end(), [](unsigned char c) { return c < kSpace || c == kDelete; }, '?');
  return text;
}

Json error_reply(const Error& error) {
  const char* name = ::strerrorname_np(error.code);
  return {{"ok", false}, {"code", name ? name : "EIO"}, {"message", error.message.substr(0, kMaxErrorText)}};
}

void send_no_memory(int socket) {
  constexpr std::string_view kReply =
      R"({"ok":false,"code":"ENOMEM","message":"the mount's daemon has no memory; free some and try again"})";
  (void)!::send(socket, kReply.data(), kReply.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
}

Error error_of(const Json& reply) {
  Error error{EIO, text_of(reply, "message").value_or("the daemon gave no reason")};
  const std::string name = text_of(reply, "code").value_or("");
  constexpr int kLastErrno = 133;  // EHWPOISON
  for (int code = 1; code <= kLastErrno; ++code) {
    const char* known = ::strerrorname_np(code);
    if (known && name == known) error.code = code;
  }
  return error;
}

}  // namespace dmabuffs
