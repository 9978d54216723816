// SPDX-License-Identifier: MIT
#include "dmabuffs/image/png.h"

#include "png_support.h"

using namespace image_test;

TEST_CASE("PNG: libpng reads what was written, in whatever pieces it came") {
  for (const auto& [width, height] : {std::pair{1U, 1U}, {2U, 3U}, {640U, 41U}, {65536U, 2U}, {1U, 300U}}) {
    for (const bool alpha : {false, true}) {
      for (const uint32_t rows : {1U, 7U, 1000U}) {
        INFO(width << "x" << height << (alpha ? " with alpha" : "") << ", rows " << rows);
        const std::vector<uint8_t> rgba = random_rgba(width, height);
        Bytes file;
        PngWriter writer(width, height, alpha, [&](std::span<const std::byte> bytes) -> Result<void> {
          file.insert(file.end(), bytes.begin(), bytes.end());
          return {};
        });
        for (uint32_t at = 0; at < height; at += rows) {
          const size_t row = size_t{width} * 4;
          CHECK(writer.write(std::span(rgba).subspan(at * row, std::min(rows, height - at) * row)));
        }
        CHECK(writer.finish());
        check_png(file, width, height, alpha, rgba);
      }
    }
  }
}

TEST_CASE("PNG: where the sink fails so does the call, and no byte follows") {
  const std::vector<uint8_t> rgba = random_rgba(400, 400);
  size_t all = 0;
  const auto write = [&](const PngWriter::Sink& sink) -> Result<void> {
    PngWriter writer(400, 400, true, sink);
    auto written = writer.write(rgba);
    auto finished = writer.finish();
    if (!written) CHECK_FALSE(finished);
    return written ? finished : written;
  };
  REQUIRE(write([&](std::span<const std::byte>) -> Result<void> { return ++all, Result<void>(); }));
  REQUIRE(all > 8);
  for (size_t good = 0; good < all; ++good) {
    size_t calls = 0;
    const auto outcome = write([&](std::span<const std::byte>) -> Result<void> {
      if (++calls > good) return fail(ENOSPC, "out.png: full");
      return {};
    });
    REQUIRE_FALSE(outcome);
    CHECK(outcome.error().code == ENOSPC);
    CHECK(outcome.error().message == "out.png: full");
    CHECK(calls == good + 1);
  }
  const auto outcome = write([&](std::span<const std::byte>) -> Result<void> { throw std::bad_alloc(); });
  REQUIRE_FALSE(outcome);
  CHECK(outcome.error().code == ENOMEM);
}

TEST_CASE("PNG: a writer may be moved, and left unfinished") {
  const std::vector<uint8_t> rgba = random_rgba(10, 10);
  size_t bytes = 0;
  PngWriter first(10, 10, false, [&](std::span<const std::byte> some) -> Result<void> {
    bytes += some.size();
    return {};
  });
  CHECK(first.write(std::span(rgba).first(200)));
  PngWriter second = std::move(first);
  CHECK(second.write(std::span(rgba).subspan(200)));
  CHECK(second.finish());
  CHECK(bytes > 300);
  PngWriter third(10, 10, false, [](std::span<const std::byte>) -> Result<void> { return {}; });
  CHECK(third.write(std::span(rgba).first(40)));
}
