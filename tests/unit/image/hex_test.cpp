// SPDX-License-Identifier: MIT
#include "dmabuffs/image/hex.h"

#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <random>
#include <vector>

#include "catch.h"

using namespace dmabuffs;
using namespace dmabuffs::image;

namespace {

using Bytes = std::vector<std::byte>;

Bytes random_bytes(size_t count) {
  std::mt19937 random(3);
  Bytes bytes(count);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
  return bytes;
}

/// What xxd(1) prints of them; it takes where they stand to be `offset`.
std::string by_xxd(const Bytes& bytes, uint64_t offset) {
  char name[] = "/tmp/hex-XXXXXX";
  const int fd = ::mkstemp(name);
  REQUIRE(fd >= 0);
  REQUIRE(::write(fd, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
  ::close(fd);
  const std::string command = "xxd -o " + std::to_string(offset) + " " + name;
  FILE* output = ::popen(command.c_str(), "r");
  REQUIRE(output != nullptr);
  std::string text;
  char part[4096];
  while (const size_t got = std::fread(part, 1, sizeof part, output)) text.append(part, got);
  CHECK(::pclose(output) == 0);
  ::unlink(name);
  return text;
}

}  // namespace

TEST_CASE("lines are those of xxd") {
  if (::system("command -v xxd >/dev/null") != 0) return;  // part of vim's packages
  for (const size_t count : {0U, 1U, 2U, 15U, 16U, 17U, 31U, 5000U})
    for (const uint64_t offset : {uint64_t{0}, uint64_t{7}, uint64_t{0xfffffff0}, uint64_t{0x123456789a}}) {
      INFO(count << " bytes at " << offset);
      const Bytes bytes = random_bytes(count);
      CHECK(hex_lines(bytes, offset, nullptr) == by_xxd(bytes, offset));
    }
}

TEST_CASE("every byte has its digits and its letter") {
  Bytes bytes{std::byte{0x00}, std::byte{0x1f}, std::byte{0x20},
              std::byte{0x7e}, std::byte{0x7f}, std::byte{0xff}};
  CHECK(hex_lines(bytes, 0x10, nullptr) == "00000010: 001f 207e 7fff                           .. ~..\n");
  bytes.resize(16);
  CHECK(hex_lines(bytes, 0, nullptr).size() == kHexLine);
}

TEST_CASE("with a picture each line says in which plane and row it begins") {
  // Rows of 16 bytes in strides of 32, and between the planes 32 bytes of neither.
  const auto picture = from_text("NV12:16x4:stride=32,32:offset=0,160");
  REQUIRE(picture);
  const std::string text = hex_lines(random_bytes(240), 0, &*picture);
  std::vector<std::string> margins;
  for (size_t at = 0; at < text.size(); at = text.find('\n', at) + 1)
    margins.push_back(text.substr(at + kHexLine - 1, text.find('\n', at) - at - kHexLine + 1));
  CHECK(margins == std::vector<std::string>{"  Y  0", "     -", "  Y  1", "     -", "  Y  2", "     -",
                                            "  Y  3", "     -", "     -", "     -", "  UV 0", "     -",
                                            "  UV 1", "     -", "     -"});
  // A short line's stands below the others'.
  const std::string last = hex_lines(random_bytes(3), 192, &*picture);
  CHECK(last.substr(kHexLine - 1) == "  UV 1\n");
}

TEST_CASE("planes whose rows lie between each other's are told apart") {
  const auto picture = from_text("YU16:32x2:stride=64,64,64:offset=0,32,48");
  REQUIRE(picture);
  const std::string text = hex_lines(random_bytes(64), 64, &*picture);
  CHECK(text.find("  Y 1\n") == kHexLine - 1);
  CHECK(text.find("  U 1\n") != std::string::npos);
  CHECK(text.find("  V 1\n") != std::string::npos);
}

TEST_CASE("how long the text of a file is, and where a line stands in it, is known without it") {
  const auto picture = from_text("NV12:16x4:stride=32,32:offset=0,160");
  REQUIRE(picture);
  for (const Picture* known : {static_cast<const Picture*>(nullptr), &*picture}) {
    for (const size_t bytes : {0U, 1U, 2U, 15U, 16U, 17U, 240U, 4095U}) {
      INFO(bytes << (known ? " with a picture" : ""));
      const std::string text = hex_lines(random_bytes(bytes), 0, known);
      CHECK(hex_size(bytes, known) == text.size());
      for (size_t offset = 0; offset < bytes; offset += 16) {
        const size_t place = hex_place(offset, known);
        const size_t next = text.find('\n', place) + 1;
        CHECK((place == 0 || text[place - 1] == '\n'));
        CHECK(hex_offset_at(place, known) == offset);
        CHECK(hex_offset_at(next - 1, known) == offset);
      }
    }
    // Beyond 4 GiB offsets take more digits.
    const uint64_t far = uint64_t{1} << 32;
    const size_t line = hex_lines(random_bytes(16), 0, known).size();
    for (const uint64_t offset : {far - 16, far, far + 16, 16 * far, 16 * far + 32, uint64_t{1} << 60}) {
      INFO(offset);
      CHECK(hex_place(offset + 16, known) - hex_place(offset, known) ==
            hex_lines(random_bytes(16), offset, known).size());
      CHECK(hex_offset_at(hex_place(offset, known), known) == offset);
      CHECK(hex_offset_at(hex_place(offset, known) + 1, known) == offset);
    }
    CHECK(hex_place(far, known) == far / 16 * line);
  }
}
