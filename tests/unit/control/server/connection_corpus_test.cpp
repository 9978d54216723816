// SPDX-License-Identifier: MIT
// What the fuzzer of the control socket begins with and has found (CONTRIBUTING.md), once each.
#include <filesystem>

#include "catch.h"
#include "dmabuffs/base/read_file.h"
#include "fuzz/control.h"

TEST_CASE("both ends of the control socket bear what the fuzzer sent them") {
  size_t inputs = 0;
  for (const auto& input : std::filesystem::directory_iterator(FUZZ_CORPUS)) {
    INFO(input.path());
    dmabuffs::fuzz::control(dmabuffs::read_file(input.path()).value());
    ++inputs;
  }
  CHECK(inputs >= 20);
}
