// SPDX-License-Identifier: MIT
#include "dmabuffs/transfer/page_cache.h"
#include "dmabuffs/base/range.h"
#include "transfer_support.h"

using namespace transfer_test;

TEST_CASE("page cache: a read without trace leaves what was cached cached, and nothing else") {
  const DiskDirectory disk;
  const TestFile file(disk.path(), "file", pattern(4 * kMiB, 2));
  const Range all{0, 4 * kMiB};
  Bytes bytes(5000);
  file.make_cold();
  REQUIRE(cached_bytes(file.fd(), all) == 0u);
  for (const uint64_t offset : {uint64_t{0}, uint64_t{70001}, 2 * kMiB - 1, 4 * kMiB - 5000}) {
    REQUIRE(read_without_trace(file.fd(), offset, bytes) == bytes.size());
    CHECK(cached_bytes(file.fd(), all) == 0u);
  }
  REQUIRE(file.content().size() == 4 * kMiB);
  REQUIRE(cached_bytes(file.fd(), all) == 4 * kMiB);
  REQUIRE(read_without_trace(file.fd(), 70001, bytes) == bytes.size());
  CHECK(cached_bytes(file.fd(), all) == 4 * kMiB);
}
