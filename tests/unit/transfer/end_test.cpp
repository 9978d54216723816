// SPDX-License-Identifier: MIT
/// What a file is as an end of a copy: its direct descriptor, its alignment.
#include <sys/mman.h>

#include <cstring>

#include "dmabuffs/transfer/end.h"
#include "transfer_support.h"

using namespace transfer_test;

TEST_CASE("file end: tmpfs is not direct although it accepts O_DIRECT, and says why") {
  const UniqueFd fd(::memfd_create("test", MFD_CLOEXEC));
  const FileEnd file(fd.get(), UniqueFd(), "frame", true);
  CHECK(file.direct_fd() == -1);
  CHECK(file.not_direct_reason() == "tmpfs does not support direct I/O: its files are memory");
}

TEST_CASE("file end: a disk file is opened for direct I/O with the same rights") {
  const DiskDirectory disk;
  const TestFile file(disk.path(), "file", pattern(8192, 3));
  const UniqueFd reader(::open(file.path().c_str(), O_RDONLY | O_CLOEXEC));
  const FileEnd end(reader.get(), UniqueFd(), "file", true);
  REQUIRE(end.direct_fd() >= 0);
  CHECK(end.not_direct_reason().empty());
  CHECK((::fcntl(end.direct_fd(), F_GETFL) & (O_ACCMODE | O_DIRECT)) == (O_RDONLY | O_DIRECT));
  CHECK(*end.size() == 8192);
  const FileEnd closed(reader.get(), UniqueFd(), "file", false);
  CHECK(closed.direct_fd() == -1);
  CHECK(closed.not_direct_reason() == "the file was not opened for direct I/O");
}

TEST_CASE("file end: a pipe is no end of a transfer") {
  int ends[2];
  REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
  const UniqueFd reader(ends[0]), writer(ends[1]);
  const auto size = FileEnd(reader.get(), UniqueFd(), "pipe", true).size();
  REQUIRE(!size);
  CHECK(size.error().code == EIO);
  CHECK(size.error().message == "pipe: not a regular file or block device");
}

TEST_CASE("alignment: reads have one of their own where the kernel tells it") {
  struct statx told {};
  CHECK(direct_alignment(told)->reads == 4096);  // it tells nothing
  told.stx_mask = STATX_DIOALIGN;
  CHECK(!direct_alignment(told));
  told.stx_dio_mem_align = 512;
  told.stx_dio_offset_align = 16384;
  CHECK(direct_alignment(told)->memory == 512);
  CHECK(direct_alignment(told)->offsets(Access::Read) == 16384);
  CHECK(direct_alignment(told)->offsets(Access::Write) == 16384);
  // As Linux 6.14 lays it out: stx_dio_read_offset_align, STATX_DIO_READ_ALIGN.
  const uint32_t reads = 512;
  std::memcpy(reinterpret_cast<char*>(&told) + 0xb4, &reads, sizeof reads);
  CHECK(direct_alignment(told)->reads == 16384);  // not told
  told.stx_mask |= 0x20000;
  CHECK(direct_alignment(told)->offsets(Access::Read) == 512);
  CHECK(direct_alignment(told)->offsets(Access::Write) == 16384);
  std::memset(reinterpret_cast<char*>(&told) + 0xb4, 0, sizeof reads);
  CHECK(direct_alignment(told)->reads == 16384);  // told to be the same
}
