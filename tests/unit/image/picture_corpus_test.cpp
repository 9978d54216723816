// SPDX-License-Identifier: MIT
// What the fuzzer of pictures begins with and has found (CONTRIBUTING.md), once each.
#include <filesystem>

#include "catch.h"
#include "dmabuffs/base/read_file.h"
#include "fuzz/image.h"

TEST_CASE("picture: all that is done with one bears what the fuzzer said of it") {
  size_t inputs = 0;
  for (const auto& input : std::filesystem::directory_iterator(FUZZ_CORPUS "-image")) {
    INFO(input.path());
    dmabuffs::fuzz::image(dmabuffs::read_file(input.path()).value());
    ++inputs;
  }
  CHECK(inputs >= 50);
}
