// SPDX-License-Identifier: MIT
// Exporters that nobody has tested, and one that moves its pages unless they are held (tests/kernel/module,
// tests/guest/kernel_foreign.sh).
#include <chrono>
#include <future>
#include <thread>

#include "kernel/kernel_support.h"
#include "kernel/opened_support.h"

using namespace kernel;

namespace {

constexpr size_t kSize = 16 * kPage;
const std::string kParameters = "/sys/module/dmabuf_foreign/parameters/";

UniqueFd foreign(const std::string& heap) {
  return heap_dmabuf(kSize, ("/dev/dma_heap/" + heap).c_str());
}

int set(const char* parameter, const char* value) {
  const UniqueFd fd = open_file(kParameters + parameter, O_WRONLY);
  return ::write(fd.get(), value, 1) == 1 ? 0 : errno;
}

/// 0, or EBUSY: something has to stay where it is.
int move_all() {
  return set("move", "1");
}

/// How many accesses there were while nothing held the buffer.
std::string unpinned() {
  char text[16] = {};
  const UniqueFd fd = open_file(kParameters + "unpinned", O_RDONLY);
  REQUIRE(::read(fd.get(), text, sizeof text - 1) > 0);
  return text;
}

}  // namespace

TEST_CASE("pages are used only while an attachment holds them", "[.foreign]") {
  const auto content = random_bytes(kSize), other = random_bytes(kSize, 2);
  const File file(content);
  const UniqueFd buffer = foreign("system_moves");
  CHECK(move_all() == 0);
  const std::string before = unpinned();
  CHECK(transfer(buffer.get(), file.fd(), {{0, 0, kSize}}).bytes == kSize);
  CHECK(unpinned() == before);
  CHECK(move_all() == 0);

  for (int round = 0; round < 2; ++round) {
    auto [error, opened] = open_over(buffer.get(), kSize);
    REQUIRE(error == 0);
    CHECK(move_all() == EBUSY);
    std::vector<char> seen(kSize);
    CHECK(::pread(opened.get(), seen.data(), kSize, 0) == static_cast<ssize_t>(kSize));
    CHECK(same(seen, round == 0 ? content : other));
    CHECK(::pwrite(opened.get(), other.data(), kSize, 0) == static_cast<ssize_t>(kSize));
    CHECK(unpinned() == before);
    opened.reset();
    CHECK(move_all() == 0);
  }
  CHECK(transfer(buffer.get(), file.fd(), {{0, 0, kSize}}, DMABUF_FILE_TO_FILE).bytes == kSize);
  CHECK(same(file.content(), other));
}

TEST_CASE("no file is made over a dma-buf whose pages can't be used, nor bound to it", "[.foreign]") {
  for (const char* heap :
       {"unknown", "system_module", "drm_moves", "system_no_pages", "system_no_references"}) {
    INFO(heap);
    const UniqueFd buffer = foreign(heap);
    CHECK(open_over(buffer.get(), kSize).error == EOPNOTSUPP);
    const Opened unbound = open_over(-1, 0);
    REQUIRE(unbound.error == 0);
    CHECK(bind(unbound.fd.get(), buffer.get(), kSize) == EOPNOTSUPP);
  }
}

TEST_CASE("an access that does not begin holds up nobody but its own buffer", "[.foreign]") {
  const File file(random_bytes(kSize));
  const UniqueFd late = foreign("udmabuf_waits"), other = udmabuf(kSize, false);
  const auto into = [&file](const UniqueFd& buffer) {
    return std::async(std::launch::async, [&] {
      return transfer(buffer.get(), file.fd(), {{0, 0, kSize}}).bytes;
    });
  };
  const std::string before = unpinned();
  REQUIRE(set("hold", "1") == 0);
  auto waits = into(late);
  while (unpinned() == before) std::this_thread::sleep_for(std::chrono::milliseconds(20));
  auto goes_on = into(other);
  CHECK(goes_on.wait_for(std::chrono::seconds(20)) == std::future_status::ready);
  CHECK(waits.wait_for(std::chrono::seconds(0)) == std::future_status::timeout);
  CHECK(set("hold", "0") == 0);
  CHECK(goes_on.get() == kSize);
  CHECK(waits.get() == kSize);
}
