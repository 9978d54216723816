// SPDX-License-Identifier: MIT
#include "dmabuffs/image/band.h"

#include <numeric>

#include "image_support.h"

using namespace image_test;

namespace {

struct Read {
  uint64_t offset;
  size_t length;
};

/// What BandReader asks for until the end; the bands' rows.
std::vector<uint32_t> read_all(const Picture& picture, uint32_t rows_at_once, std::vector<Read>& reads) {
  BandReader reader(
      picture,
      [&](uint64_t offset, std::span<std::byte> to) -> Result<void> {
        reads.push_back({offset, to.size()});
        return {};
      },
      rows_at_once);
  std::vector<uint32_t> rows;
  for (;;) {
    const auto band = reader.next();
    REQUIRE(band);
    if (band->rows == 0) return rows;
    CHECK(band->first == std::accumulate(rows.begin(), rows.end(), 0U));
    rows.push_back(band->rows);
  }
}

}  // namespace

TEST_CASE("bands: a picture comes whole, the same in whatever bands") {
  for (const Format& format : formats()) {
    for (const auto& [width, height] : {std::pair{1U, 1U}, {2U, 2U}, {5U, 7U}, {33U, 21U}}) {
      const Picture picture = picture_of(format, width, height, 3);
      const Bytes bytes = noise(picture, width);
      const std::vector<uint8_t> at_once = rgba_of(picture, bytes, {});
      for (const uint32_t rows : {0U, 1U, 2U, 3U, 4U, 6U, 1000U}) {
        INFO(format.name << " " << width << "x" << height << ", rows " << rows);
        BandReader reader(picture, reader_of(bytes), rows);
        std::vector<uint8_t> rgba;
        for (;;) {
          const auto band = reader.next();
          REQUIRE(band);
          if (band->rows == 0) break;
          CHECK(band->first % format.vertical() == 0);
          const size_t before = rgba.size();
          rgba.resize(before + size_t{band->rows} * width * 4);
          to_rgba(picture, *band, {}, std::span(rgba).subspan(before));
        }
        CHECK(rgba == at_once);
      }
    }
  }
}

TEST_CASE("bands: each plane's rows are one read, up to the last one's last byte") {
  const Picture picture = picture_of(format_of("NV12"), 100, 7, 28);
  std::vector<Read> reads;
  CHECK(read_all(picture, 4, reads) == std::vector<uint32_t>{4, 3});
  REQUIRE(reads.size() == 4);
  const uint64_t luma = picture.planes[0].offset, colours = picture.planes[1].offset;
  CHECK(reads[0].offset == luma);
  CHECK(reads[0].length == 3 * 128 + 100);
  CHECK(reads[1].offset == colours);
  CHECK(reads[1].length == 128 + 100);
  CHECK(reads[2].offset == luma + 4 * 128);
  CHECK(reads[2].length == 2 * 128 + 100);
  CHECK(reads[3].offset == colours + 2 * 128);
  CHECK(reads[3].length == 128 + 100);
  CHECK(reads[3].offset + reads[3].length == picture.end());
}

TEST_CASE("bands: rows that lie far apart are read one by one") {
  Picture picture = picture_of(format_of("XR24"), 10, 3);
  picture.planes[0] = {8, uint64_t{1} << 40};
  std::vector<Read> reads;
  CHECK(usual_rows(picture) > 3);
  CHECK(read_all(picture, usual_rows(picture), reads) == std::vector<uint32_t>{3});
  REQUIRE(reads.size() == 3);
  for (size_t row = 0; row < 3; ++row) {
    CHECK(reads[row].offset == 8 + (row << 40));
    CHECK(reads[row].length == 40);
  }
}

TEST_CASE("bands: what could not be read is told") {
  const Picture picture = picture_of(format_of("NV12"), 64, 64);
  int calls = 0;
  BandReader reader(
      picture,
      [&](uint64_t, std::span<std::byte>) -> Result<void> {
        if (++calls == 4) return fail(EIO, "the fourth");
        return {};
      },
      16);
  CHECK(reader.next());
  const auto second = reader.next();
  REQUIRE_FALSE(second);
  CHECK(second.error().code == EIO);
  CHECK(second.error().message == "the fourth");
}

TEST_CASE("bands: usually a quarter of a megabyte, in whole blocks") {
  CHECK(usual_rows(picture_of(format_of("XR24"), 3840, 2160)) == 17);  // of 15360 bytes
  CHECK(usual_rows(picture_of(format_of("NV12"), 3840, 2160)) == 44);
  CHECK(usual_rows(picture_of(format_of("XR24"), 65536, 9)) == 1);
  Picture wide = picture_of(format_of("NV12"), 4, 4);
  wide.planes[0].stride = wide.planes[1].stride = 4096;  // padding is read, too
  CHECK(usual_rows(wide) == 42);
  for (const Format& format : formats())
    CHECK(usual_rows(picture_of(format, 65536, 65536)) % format.vertical() == 0);
}

TEST_CASE("bands: no line of raw Bayer comes without its cell") {
  for (const uint32_t height : {2U, 3U, 4U, 5U, 7U, 9U, 13U}) {
    for (const uint32_t rows : {1U, 2U, 4U, 5U, 6U}) {
      INFO(height << " lines, " << rows << " at once");
      std::vector<Read> reads;
      const auto bands = read_all(picture_of(format_of("RGGB"), 4, height), rows, reads);
      CHECK(std::accumulate(bands.begin(), bands.end(), 0U) == height);
      for (const uint32_t band : bands) {
        CHECK(band >= 2);
        CHECK(band <= std::max(rows, 4U));
      }
    }
  }
}
