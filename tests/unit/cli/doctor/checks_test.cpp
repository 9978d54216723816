// SPDX-License-Identifier: MIT
#include "catch.h"
#include "doctor_support.h"

using namespace dmabuffs::cli;
using namespace doctor_test;

TEST_CASE("doctor: a machine with udmabuf has a direct path to a real dma-buf") {
  MadeUp made;
  made.udmabuf("2147483647");
  const Diagnosis diagnosis = diagnose(made.machine);
  CHECK(diagnosis.direct);
  CHECK(made.heap("udmabuf").usable);
  CHECK(made.heap("udmabuf").path == "pinned-direct");
  for (const Check& check : diagnosis.checks)
    if (check.name != "dma-heaps" && check.name != "memory") CHECK(check.state == CheckState::Ok);
}

TEST_CASE("doctor: memfd buffers are usable but are no dma-buf, so they don't count") {
  MadeUp made;
  CHECK_FALSE(diagnose(made.machine).direct);
  CHECK(made.heap("memfd").usable);
  CHECK_FALSE(made.heap("memfd").is_dmabuf);
}
