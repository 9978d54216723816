// SPDX-License-Identifier: MIT
#include "dmabuffs/cli/bench/choice.h"

#include "catch.h"

using namespace dmabuffs;
using namespace dmabuffs::cli::bench;

namespace {

constexpr uint64_t kMega = 1 << 20;

std::string refusal_of(const std::string& chunks, const std::string& each, uint64_t size) {
  const auto cut = bytes_of_each(chunks, each, size);
  REQUIRE_FALSE(cut);
  CHECK(cut.error().code == EINVAL);
  return cut.error().message;
}

std::vector<Row> three_rows() {
  std::vector<Row> rows(3);
  rows[0].name = "ceiling-read";
  rows[1].name = "udmabuf-direct-read";
  rows[1].why_not = "there is no /dev/udmabuf";
  rows[2].name = "ceiling-write";
  rows[2].direction = Direction::Write;
  return rows;
}

}  // namespace

TEST_CASE("a file is one buffer unless it is cut", "[bench]") {
  CHECK(*bytes_of_each("", "", 12345) == 12345);
  CHECK(*bytes_of_each("", "32M", 1024 * kMega) == 32 * kMega);
  CHECK(*bytes_of_each("32x32M", "", 1024 * kMega) == 32 * kMega);
  CHECK(*bytes_of_each("2x1M", "", kMega + 1) == kMega);
  CHECK(*bytes_of_each("", "32M", kMega) == kMega);
}

TEST_CASE("what can't be cut is refused with the words that were wrong", "[bench]") {
  CHECK(refusal_of("2x1M", "1M", 2 * kMega) == "--chunks and --each: one of them");
  CHECK(refusal_of("32", "", kMega) == "--chunks 32: a number and a size, such as 32x32M");
  CHECK(refusal_of("", "much", kMega) == "--each much: a size such as 32M");
  CHECK(refusal_of("", "0", kMega) == "--each 0: a size such as 32M");
  CHECK(refusal_of("", "1000", kMega) == "--each 1000: buffers are whole pages, multiples of 4096 bytes");
  CHECK(refusal_of("3x1M", "", 2 * kMega) == "--chunks 3x1M: FILE, 2.0 MiB, fills 2 buffers of that size");
  CHECK(refusal_of("-1x1M", "", 2 * kMega) == "--chunks -1x1M: FILE, 2.0 MiB, fills 2 buffers of that size");
}

TEST_CASE("rows are chosen as a shell chooses files", "[bench]") {
  CHECK(is_wanted("ours-memfd-first", {}));
  CHECK(is_wanted("ours-memfd-first", {"fio-read", "ours-*"}));
  CHECK_FALSE(is_wanted("ours-memfd-first", {"ours"}));
  CHECK(unknown_pattern(three_rows(), {"ceiling-*", "udmabuf-*"}).empty());
  CHECK(unknown_pattern(three_rows(), {"ceiling-*", "cieling-read"}) == "cieling-read");
}

TEST_CASE("the baseline is of the same direction, and can run", "[bench]") {
  auto rows = three_rows();
  CHECK(*choose_baseline(rows, Direction::Read, "", "ceiling-read") == rows.data());
  CHECK(*choose_baseline(rows, Direction::Write, "ceiling-read", "ceiling-write") == &rows[2]);
  const auto refused = choose_baseline(rows, Direction::Read, "udmabuf-direct-read", "ceiling-read");
  REQUIRE_FALSE(refused);
  CHECK(refused.error().message ==
        "--baseline udmabuf-direct-read: it can't run here: there is no /dev/udmabuf");
  rows[0].why_not = "no direct I/O";
  CHECK(*choose_baseline(rows, Direction::Read, "", "ceiling-read") == nullptr);
}
