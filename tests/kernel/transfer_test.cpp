// SPDX-License-Identifier: MIT
// TRANSFER: bytes between files and dma-bufs of every exporter, both ways.
#include <libdrm/drm.h>
#include <libdrm/drm_mode.h>

#include "kernel/kernel_support.h"

namespace kernel {

UniqueFd vgem_dmabuf(size_t length) {
  const UniqueFd card = open_file("/dev/dri/card0", O_RDWR);
  drm_mode_create_dumb dumb{};
  dumb.width = static_cast<uint32_t>(kPage / 4);
  dumb.height = static_cast<uint32_t>(length / kPage);
  dumb.bpp = 32;
  REQUIRE(::ioctl(card.get(), DRM_IOCTL_MODE_CREATE_DUMB, &dumb) == 0);
  drm_prime_handle prime{dumb.handle, DRM_CLOEXEC | DRM_RDWR, -1};
  REQUIRE(::ioctl(card.get(), DRM_IOCTL_PRIME_HANDLE_TO_FD, &prime) == 0);
  return UniqueFd(prime.fd);
}

}  // namespace kernel

using namespace kernel;

TEST_CASE("every page of every exporter gets its own bytes, both ways, by direct I/O") {
  const size_t size = 5 * kHuge;
  const auto content = random_bytes(size);
  for (const Exporter& exporter : exporters()) {
    INFO(exporter.name);
    const File file(content);
    const Buffer buffer(exporter.make(size));
    const Moved in = transfer(buffer.fd(), file.fd(), {{0, 0, size}}, DMABUF_FILE_REQUIRE_DIRECT);
    CHECK(in.error == 0);
    CHECK(in.bytes == size);
    CHECK(in.how == (exporter.how | DMABUF_FILE_HOW_DIRECT));
    CHECK(same(buffer.content(), content));

    const auto other = random_bytes(size, 2);
    buffer.fill(other);
    const Moved out =
        transfer(buffer.fd(), file.fd(), {{0, 0, size}}, DMABUF_FILE_REQUIRE_DIRECT | DMABUF_FILE_TO_FILE);
    CHECK(out.error == 0);
    CHECK(out.bytes == size);
    CHECK(out.how == (exporter.how | DMABUF_FILE_HOW_DIRECT));
    CHECK(same(file.content(), other));
  }
}

TEST_CASE("any offset and any length, both ways, as a model in memory says") {
  std::mt19937 random(7);
  const size_t size = 3 * kHuge;
  for (const Exporter& exporter : exporters()) {
    INFO(exporter.name);
    auto in_file = random_bytes(size, 3), in_buffer = random_bytes(size, 4);
    const File file(in_file);
    const Buffer buffer(exporter.make(size));
    buffer.fill(in_buffer);
    for (int round = 0; round < 60; ++round) {
      const size_t unit = std::vector<size_t>{1, 512, 4096, 65536}[random() % 4];
      const size_t length = std::min(size / 2, (1 + random() % (1u << (random() % 22))) * unit);
      const size_t from = random() % (size - length) / unit * unit,
                   at = random() % (size - length) / unit * unit;
      const bool to_file = random() % 2 != 0;
      INFO("round " << round << ": " << length << " bytes, file " << from << ", buffer " << at << ", to file "
                    << to_file);
      const Moved moved =
          transfer(buffer.fd(), file.fd(), {{at, from, length}}, to_file ? DMABUF_FILE_TO_FILE : 0);
      REQUIRE(moved.error == 0);
      REQUIRE(moved.bytes == length);
      const auto& source = to_file ? in_buffer : in_file;
      auto& target = to_file ? in_file : in_buffer;
      std::copy_n(source.begin() + static_cast<ptrdiff_t>(to_file ? at : from), length,
                  target.begin() + static_cast<ptrdiff_t>(to_file ? from : at));
    }
    CHECK(same(buffer.content(), in_buffer));
    CHECK(same(file.content(), in_file));
  }
}

TEST_CASE("segments are moved in order and counted together") {
  const auto content = random_bytes(kHuge);
  const File file(content);
  const Buffer buffer(heap_dmabuf(kHuge));
  std::vector<Segment> segments;
  for (size_t i = 0; i < 64; ++i) segments.push_back({(63 - i) * kPage, i * kPage, kPage});
  const Moved moved = transfer(buffer.fd(), file.fd(), segments);
  CHECK(moved.error == 0);
  CHECK(moved.bytes == 64 * kPage);
  const auto got = buffer.content();
  for (size_t i = 0; i < 64; ++i)
    REQUIRE(std::memcmp(&got[(63 - i) * kPage], &content[i * kPage], kPage) == 0);
}

TEST_CASE("the end of the file ends a transfer, and what is behind it in the buffer stays") {
  const auto content = random_bytes(100'000);
  const File file(content);
  const Buffer buffer(heap_dmabuf(kHuge));
  const auto before = random_bytes(kHuge, 9);
  buffer.fill(before);
  const Moved moved = transfer(buffer.fd(), file.fd(), {{0, 0, kHuge}});
  CHECK(moved.error == 0);
  CHECK(moved.bytes == content.size());
  const auto got = buffer.content();
  CHECK(std::equal(content.begin(), content.end(), got.begin()));
  const Moved none = transfer(buffer.fd(), file.fd(), {{0, 1 << 20, kPage}});
  CHECK(none.error == 0);
  CHECK(none.bytes == 0);
}

TEST_CASE("a file that grows by a transfer is as long as what was moved") {
  const File file({});
  const Buffer buffer(heap_dmabuf(kHuge));
  const auto content = random_bytes(kHuge);
  buffer.fill(content);
  const Moved moved = transfer(buffer.fd(), file.fd(), {{0, 0, 1'000'001}}, DMABUF_FILE_TO_FILE);
  CHECK(moved.error == 0);
  CHECK(moved.bytes == 1'000'001);
  CHECK(same(file.content(), std::vector<char>(content.begin(), content.begin() + 1'000'001)));
}

TEST_CASE("a block device is a file with direct I/O, too") {
  const char* path = std::getenv("DMABUFFS_TEST_DISK");
  REQUIRE(path != nullptr);
  const UniqueFd disk = open_file(path, O_RDWR);
  const Buffer buffer(heap_dmabuf(kHuge));
  const auto content = random_bytes(kHuge);
  buffer.fill(content);
  for (const uint32_t flags : {static_cast<uint32_t>(DMABUF_FILE_TO_FILE), 0u}) {
    const Moved moved =
        transfer(buffer.fd(), disk.get(), {{0, 512, kHuge - 512}}, flags | DMABUF_FILE_REQUIRE_DIRECT);
    CHECK(moved.error == 0);
    CHECK(moved.bytes == kHuge - 512);
    CHECK((moved.how & DMABUF_FILE_HOW_DIRECT) != 0);
    buffer.fill(std::vector<char>(kHuge));
  }
  CHECK(transfer(buffer.fd(), disk.get(), {{0, 0, kHuge}}).bytes == kHuge);
  const auto got = buffer.content();
  CHECK(std::equal(content.begin(), content.end() - 512, got.begin() + 512));
}

TEST_CASE("what was loaded into a memfd's udmabuf is dirty, so that it is not dropped later") {
  constexpr uint64_t kDirty = 1 << 4;  // of /proc/kpageflags
  const UniqueFd memfd(::memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  REQUIRE(::ftruncate(memfd.get(), 2 * kPage) == 0);
  REQUIRE(::fcntl(memfd.get(), F_ADD_SEALS, F_SEAL_SHRINK) == 0);
  const UniqueFd device = open_file("/dev/udmabuf", O_RDWR);
  udmabuf_create request{static_cast<uint32_t>(memfd.get()), UDMABUF_FLAGS_CLOEXEC, 0, 2 * kPage};
  const UniqueFd buffer(::ioctl(device.get(), UDMABUF_CREATE, &request));
  REQUIRE(buffer);
  auto pages = Mapping::of_file(memfd.get(), 0, 2 * kPage, PROT_READ);
  REQUIRE(pages);
  const UniqueFd map = open_file("/proc/self/pagemap", O_RDONLY);
  const UniqueFd flags = open_file("/proc/kpageflags", O_RDONLY);
  const auto flags_of = [&](size_t page) {
    (void)*static_cast<volatile const std::byte*>(pages->data() + page * kPage);
    uint64_t frame = 0, found = 0;
    const auto entry = static_cast<off_t>((reinterpret_cast<uintptr_t>(pages->data()) / kPage + page) * 8);
    REQUIRE(::pread(map.get(), &frame, 8, entry) == 8);
    frame &= (uint64_t{1} << 55) - 1;
    REQUIRE(frame != 0);
    REQUIRE(::pread(flags.get(), &found, 8, static_cast<off_t>(frame * 8)) == 8);
    return found;
  };
  const bool clean = (flags_of(0) & kDirty) == 0 && (flags_of(1) & kDirty) == 0;
  const File file(random_bytes(kPage));
  REQUIRE(transfer(buffer.get(), file.fd(), {{0, 0, kPage}}).bytes == kPage);
  CHECK((flags_of(0) & kDirty) != 0);
  CHECK((clean && (flags_of(1) & kDirty) != 0) == false);
}
