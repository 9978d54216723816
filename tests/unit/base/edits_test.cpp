// SPDX-License-Identifier: MIT
#include "dmabuffs/base/edits.h"

#include "catch.h"

using namespace dmabuffs;

TEST_CASE("letters that are missing, too many, wrong or exchanged are counted, capitals not") {
  CHECK(edits_between("", "") == 0);
  CHECK(edits_between("", "mount") == 5);
  CHECK(edits_between("mount", "Mount") == 0);
  CHECK(edits_between("mnt", "mount") == 2);
  CHECK(edits_between("mountt", "mount") == 1);
  CHECK(edits_between("mount", "maunt") == 1);
  CHECK(edits_between("hlep", "help") == 1);
  CHECK(edits_between("nonsense", "mount") == 6);
}
