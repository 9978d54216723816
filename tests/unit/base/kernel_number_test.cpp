// SPDX-License-Identifier: MIT
/// The numbers of /proc and /sys, kept open.
#include <filesystem>

#include "catch.h"
#include "dmabuffs/base/kernel_number.h"
#include "heap_support.h"

using dmabuffs::KernelNumber;
using heap_test::TemporaryDirectory;

TEST_CASE("a kernel's number is read anew each time, by every copy") {
  const TemporaryDirectory directory;
  const KernelNumber number(directory.path() + "/number");
  const KernelNumber copy = number;
  CHECK_FALSE(number.read());  // no such file yet
  directory.write("number", "64\n");
  CHECK(number.read() == 64u);
  CHECK(copy.read() == 64u);
  directory.write("number", "128\n");
  CHECK(number.read() == 128u);
  for (const char* none : {"max\n", "-1\n", "\n"}) {
    directory.write("number", none);
    CHECK_FALSE(number.read());
  }
}

TEST_CASE("a number whose file ended, as that of an unloaded module, is looked for again") {
  const TemporaryDirectory directory;
  const KernelNumber number(directory.path() + "/number");
  directory.write("number", "1\n");
  REQUIRE(number.read() == 1u);
  std::filesystem::resize_file(directory.path() + "/number", 0);  // what is open says nothing any more
  std::filesystem::remove(directory.path() + "/number");
  CHECK_FALSE(number.read());
  directory.write("number", "2\n");
  CHECK(number.read() == 2u);
}
