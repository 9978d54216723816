// SPDX-License-Identifier: MIT
#include "dmabuffs/base/mapping.h"
#include "dmabuffs/transfer/crew.h"
#include "dmabuffs/transfer/file_part.h"
#include "dmabuffs/transfer/path.h"
#include "transfer_support.h"

using namespace transfer_test;

TEST_CASE("pinned: memory aligned less than the file is cut where the file is aligned") {
  const TemporaryDirectory directory("/var/tmp");
  const TestFile file(directory.path(), "file");
  const auto end = file.end();
  auto mapping = Mapping::anonymous(8 * kMiB);
  REQUIRE(mapping);
  const uint64_t unit = direct_unit(end->alignment().reads);
  for (const uint64_t shift : {uint64_t{0}, uint64_t{512}, unit, unit + 512}) {
    const FilePart part{*end, -1, 0, mapping->bytes().subspan(shift, 6 * kMiB), nullptr, nullptr};
    Chunks chunks(part.memory.size(), pinned_phase(part, Access::Read), kHugePage, nullptr);
    while (const auto chunk = chunks.take()) CHECK(chunk->offset % unit == 0);
  }
}
