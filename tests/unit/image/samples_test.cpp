// SPDX-License-Identifier: MIT
#include "dmabuffs/image/samples.h"

#include "image_support.h"

using namespace image_test;

TEST_CASE("samples: those read together are those of each pixel, by the table of channels") {
  for (const Format& format : formats()) {
    const Picture picture = picture_of(format, 77, 4, 5);
    const Bytes bytes = noise(picture, 1);
    const Band band = whole(picture, bytes);
    for (size_t i = 0; i < format.channels.size(); ++i) {
      const Channel& channel = format.channels[i];
      if (channel.name == 0) continue;
      for (uint32_t y = 0; y < picture.height; ++y) {
        const std::byte* row = row_in(band, format, channel.plane, y);
        for (const auto& [first, count] : {std::pair{0U, 77U}, {0U, 1U}, {2U, 3U}, {14U, 63U}, {76U, 1U}}) {
          std::vector<uint16_t> read(count);
          read_samples(format, channel, row, first, read);
          for (uint32_t j = 0; j < count; ++j) {
            INFO(format.name << " " << channel.name << " at " << first + j << "," << y);
            const uint32_t expected = sample(picture, bytes, i, first + j, y);
            CHECK(read[j] == expected);
            CHECK(sample_at(format, channel, row, first + j) == expected);
          }
        }
      }
    }
  }
}
