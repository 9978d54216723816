// SPDX-License-Identifier: MIT
#include "dmabuffs/transfer/planner.h"

#include "dmabuffs/base/range.h"

#include "catch.h"

using namespace dmabuffs;

namespace {

Situation aligned_load(uint64_t length) {
  Situation now;
  now.length = length;
  return now;
}

std::vector<Path> paths(const Plan& plan) {
  std::vector<Path> found;
  for (const Part& part : plan.parts) found.push_back(part.path);
  return found;
}

}  // namespace

TEST_CASE("planner: an aligned piece into pinnable memory goes pinned-direct, with nothing to explain") {
  const Plan made = plan(aligned_load(8 * kMiB));
  REQUIRE(made.parts.size() == 1);
  CHECK(made.parts[0].path == Path::PinnedDirect);
  CHECK(made.parts[0].length == 8 * kMiB);
  CHECK(made.parts[0].why.empty());
}

TEST_CASE(
    "planner: unaligned ends of a source go by bounce memory, of a destination through the page cache") {
  Situation now = aligned_load(3 * 4096);
  now.file_offset = now.memory_address = 100;
  for (const bool to_buffer : {true, false}) {
    now.to_buffer = to_buffer;
    const Path ends = to_buffer ? Path::BounceDirect : Path::Buffered;
    const Plan made = plan(now);
    REQUIRE(paths(made) == std::vector<Path>{ends, Path::PinnedDirect, ends});
    CHECK(made.parts[0].length == 3996);
    CHECK(made.parts[1].length == 2 * 4096);
    CHECK(made.parts[2].length == 100);
    CHECK(!made.parts[0].why.empty());
  }
}

TEST_CASE("planner: memory that can't be pinned gets the bounce path and says why") {
  Situation now = aligned_load(kMiB);
  now.not_pinnable_reason = "no struct pages";
  const Plan made = plan(now);
  REQUIRE(paths(made) == std::vector<Path>{Path::BounceDirect});
  CHECK(made.parts[0].why == "no struct pages; there is no kernel module");
}

TEST_CASE("planner: offsets that differ modulo the alignment can't be pinned-direct") {
  Situation now = aligned_load(kMiB);
  now.memory_address = 1;
  CHECK(paths(plan(now)) == std::vector<Path>{Path::BounceDirect});
  now.memory_alignment = 512;
  now.memory_address = 512;
  CHECK(paths(plan(now)) == std::vector<Path>{Path::PinnedDirect});
}

TEST_CASE("planner: a file without direct I/O goes buffered and says why") {
  Situation now = aligned_load(kMiB);
  now.not_direct_reason = "tmpfs";
  const Plan made = plan(now);
  REQUIRE(paths(made) == std::vector<Path>{Path::Buffered});
  CHECK(made.parts[0].why == "tmpfs");
}

TEST_CASE("planner: a cached source is read through the page cache, but never under require-direct") {
  Situation now = aligned_load(kMiB);
  now.cache_is_faster = true;
  const Plan made = plan(now);
  REQUIRE(paths(made) == std::vector<Path>{Path::Buffered});
  CHECK(made.parts[0].why == "the source is in the page cache");
  now.require_direct = true;
  CHECK(paths(plan(now)) == std::vector<Path>{Path::PinnedDirect});
}

TEST_CASE("planner: memory that can't be pinned goes by the kernel module, where there is one") {
  Situation now = aligned_load(kMiB);
  now.not_pinnable_reason = "no struct pages";
  now.not_by_kernel_reason.clear();
  now.require_direct = true;
  const Plan made = plan(now);
  REQUIRE(made.parts.size() == 1);
  CHECK(made.parts[0].path == Path::KernelDirect);
  CHECK(made.parts[0].length == kMiB);
  now.dmabuf_offset = 1;
  CHECK(plan(now).refusal.has_value());
}

TEST_CASE("planner: require-direct refuses a body that would not be direct, with the reason") {
  Situation now = aligned_load(kMiB + 1);
  now.require_direct = true;
  CHECK(!plan(now).refusal);
  SECTION("memory") {
    now.not_pinnable_reason = "no struct pages";
    CHECK(plan(now).refusal == "no struct pages; there is no kernel module");
  }
  SECTION("file") {
    now.not_direct_reason = "tmpfs";
    CHECK(plan(now).refusal == "tmpfs");
  }
  SECTION("alignment") {
    now.memory_address = 1;
    CHECK(plan(now).refusal);
  }
}

TEST_CASE("planner: require-direct lets a file without one whole block pass") {
  Situation now = aligned_load(4095);
  now.require_direct = true;
  now.not_direct_reason = "tmpfs";
  CHECK(!plan(now).refusal);
  now.not_direct_reason.clear();
  now.not_pinnable_reason = "no struct pages";
  CHECK(!plan(now).refusal);
}

TEST_CASE("planner: the parts of every plan cover the piece, and what is direct is aligned") {
  for (const uint64_t file_offset : {0, 1, 512, 4095, 4096, 6000}) {
    for (const uint64_t memory : {0, 1, 512, 4095, 4096, 6000}) {
      for (const uint64_t length : {1, 511, 4096, 4097, 8192, 20000}) {
        for (const uint32_t alignment : {512u, 4096u, 65536u}) {
          for (const bool to_buffer : {true, false}) {
            Situation now = aligned_load(length);
            now.to_buffer = to_buffer;
            now.file_offset = file_offset;
            now.memory_address = memory;
            now.offset_alignment = alignment;
            now.memory_alignment = 512;
            uint64_t at = 0;
            for (const Part& part : plan(now).parts) {
              CHECK(part.length > 0);
              if (part.path == Path::PinnedDirect) CHECK((memory + at) % 512 == 0);
              if (part.path == Path::PinnedDirect || (part.path == Path::BounceDirect && !to_buffer)) {
                CHECK((file_offset + at) % alignment == 0);
                CHECK(part.length % alignment == 0);
              }
              at += part.length;
            }
            CHECK(at == length);
          }
        }
      }
    }
  }
}
