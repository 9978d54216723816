// SPDX-License-Identifier: MIT
#include "dmabuffs/control/message.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <filesystem>

#include "catch.h"
#include "unit/descriptors.h"

using namespace dmabuffs;

namespace {

struct Pair {
  UniqueFd a, b;
  Pair() {
    int fds[2] = {-1, -1};
    REQUIRE(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) == 0);
    a.reset(fds[0]);
    b.reset(fds[1]);
  }
};

/// Raw SCM_RIGHTS, with as many descriptors as the sender likes.
void send_raw(int socket, std::string text, const std::vector<int>& fds) {
  iovec part{text.data(), text.size()};
  std::vector<char> control(CMSG_SPACE(fds.size() * sizeof(int)));
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  if (!fds.empty()) {
    header.msg_control = control.data();
    header.msg_controllen = control.size();
    cmsghdr* rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
    std::memcpy(CMSG_DATA(rights), fds.data(), fds.size() * sizeof(int));
  }
  REQUIRE(::sendmsg(socket, &header, 0) == static_cast<ssize_t>(text.size()));
}

ino_t inode(int fd) {
  struct stat st {};
  REQUIRE(::fstat(fd, &st) == 0);
  return st.st_ino;
}

}  // namespace

TEST_CASE("a control message arrives with its descriptors in order") {
  Pair pair;
  const UniqueFd first(::open("/", O_PATH | O_CLOEXEC)), second(::open("/proc", O_PATH | O_CLOEXEC));
  const int fds[] = {first.get(), second.get()};
  REQUIRE(send_message(pair.a.get(), {{"op", "hello"}, {"n", 7}}, fds));
  auto got = receive_message(pair.b.get());
  REQUIRE(got);
  REQUIRE(got->has_value());
  CHECK(text_of((*got)->body, "op") == std::string("hello"));
  CHECK(number_of((*got)->body, "n") == uint64_t{7});
  REQUIRE((*got)->fds.size() == 2);
  CHECK(inode((*got)->fds[0].get()) == inode(first.get()));
  CHECK(inode((*got)->fds[1].get()) == inode(second.get()));
  CHECK((::fcntl((*got)->fds[0].get(), F_GETFD) & FD_CLOEXEC) != 0);
}

TEST_CASE("a control message that is too long is refused by the sender and survived by the receiver") {
  Pair pair;
  const auto sent = send_message(pair.a.get(), {{"op", std::string(kMaxMessageBytes, 'x')}});
  REQUIRE_FALSE(sent);
  CHECK(sent.error().code == EMSGSIZE);
  send_raw(pair.a.get(), std::string(kMaxMessageBytes + 1, ' '), {});
  const auto got = receive_message(pair.b.get());
  REQUIRE_FALSE(got);
  CHECK(got.error().code == EMSGSIZE);
  REQUIRE(send_message(pair.a.get(), {{"op", "after"}}));
  CHECK(receive_message(pair.b.get())->has_value());
}

TEST_CASE("more descriptors than a control message may carry are refused and all closed") {
  Pair pair;
  const UniqueFd one(::open("/", O_PATH | O_CLOEXEC));
  const size_t before = open_descriptors();
  send_raw(pair.a.get(), R"({"op":"hello"})", std::vector<int>(kMaxMessageFds + 20, one.get()));
  const auto got = receive_message(pair.b.get());
  REQUIRE_FALSE(got);
  CHECK(got.error().code == EMSGSIZE);
  CHECK(open_descriptors() == before);
}

TEST_CASE("descriptors that come with a bad control message are closed") {
  Pair pair;
  const UniqueFd one(::open("/", O_PATH | O_CLOEXEC));
  const size_t before = open_descriptors();
  for (const char* text : {"nonsense", "[1]", "3", "{\"op\":", "{}{}", "\xff\xfe"}) {
    send_raw(pair.a.get(), text, {one.get(), one.get()});
    const auto got = receive_message(pair.b.get());
    REQUIRE_FALSE(got);
    CHECK(got.error().code == EBADMSG);
  }
  send_raw(pair.a.get(), std::string(60000, '['), {});
  CHECK(receive_message(pair.b.get()).error().code == EBADMSG);
  CHECK(open_descriptors() == before);
}

TEST_CASE("a control message whose arrays lie in one another deeper than any stack is refused") {
  const auto nested = [](size_t depth) {
    return R"({"op":"info","file":)" + std::string(depth, '[') + std::string(depth, ']') + "}";
  };
  CHECK(parse_message(nested(kMaxMessageDepth - 1)));
  for (const size_t depth : {size_t{kMaxMessageDepth}, size_t{32000}}) {
    const auto parsed = parse_message(nested(depth));
    REQUIRE_FALSE(parsed);
    CHECK(parsed.error().code == EBADMSG);
  }
}

TEST_CASE("the end of a control connection is no error") {
  Pair pair;
  pair.a.reset();
  const auto got = receive_message(pair.b.get());
  REQUIRE(got);
  CHECK_FALSE(got->has_value());
  const auto sent = send_message(pair.b.get(), {{"ok", true}});
  REQUIRE_FALSE(sent);
  CHECK(sent.error().code == EPIPE);
}

TEST_CASE("a full queue does not make a sender wait who asked not to") {
  Pair pair;
  Result<void> sent;
  for (int i = 0; i < 100000 && sent; ++i) sent = send_message(pair.a.get(), {{"progress", i}}, {}, false);
  REQUIRE_FALSE(sent);
  CHECK(sent.error().code == EAGAIN);
}

TEST_CASE("a daemon without memory says just that") {
  const Pair pair;
  send_no_memory(pair.a.get());
  const auto reply = receive_message(pair.b.get());
  REQUIRE(reply);
  REQUIRE(reply->has_value());
  CHECK_FALSE(flag_of((*reply)->body, "ok"));
  CHECK(error_of((*reply)->body).code == ENOMEM);
}

TEST_CASE("a file name that is no UTF-8 can be part of a control message") {
  Pair pair;
  REQUIRE(send_message(pair.a.get(), {{"name", "a\xff.raw"}}));
  auto got = receive_message(pair.b.get());
  REQUIRE(got);
  CHECK(text_of((*got)->body, "name") == std::string("a\xef\xbf\xbd.raw"));
}

TEST_CASE("members of another type than expected count as missing") {
  const Json object{{"n", -1}, {"f", 1.5}, {"s", 3}, {"b", "true"}};
  CHECK_FALSE(number_of(object, "n"));
  CHECK_FALSE(number_of(object, "f"));
  CHECK_FALSE(number_of(object, "absent"));
  CHECK_FALSE(text_of(object, "s"));
  CHECK_FALSE(flag_of(object, "b"));
}

TEST_CASE("an error keeps its code and message in a control reply") {
  for (const int code : {ENOSPC, EACCES, EINTR, EOPNOTSUPP, EXDEV}) {
    const Json reply = error_reply({code, "the reason"});
    CHECK_FALSE(flag_of(reply, "ok"));
    CHECK(error_of(reply).code == code);
    CHECK(error_of(reply).message == "the reason");
  }
  CHECK(error_of(Json::object()).code == EIO);
}

TEST_CASE("what others named can't drive a terminal or forge a line of a log") {
  CHECK(printable("a\033[2J\nb\x7f") == "a?[2J?b?");
  CHECK(printable("h\xc3\xa4 ") == "h\xc3\xa4 ");
}
