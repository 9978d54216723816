// SPDX-License-Identifier: MIT
#include "dmabuffs/image/stored_png.h"

#include "png_support.h"

using namespace image_test;

TEST_CASE("a stored PNG has the size it says, and libpng reads it, in whatever pieces its rows came") {
  // 21844 pixels of 3 bytes, and the filter, are two blocks but for a byte; 5 rows of 13107 bytes are one
  // block.
  for (const auto& [width, height] :
       {std::pair{1U, 1U}, {2U, 3U}, {640U, 41U}, {65536U, 2U}, {21844U, 2U}, {4369U, 5U}, {1U, 70000U}}) {
    for (const bool alpha : {false, true}) {
      for (const uint32_t rows : {1U, 7U, 100000U}) {
        INFO(width << "x" << height << (alpha ? " with alpha" : "") << ", rows " << rows);
        const std::vector<uint8_t> rgba = random_rgba(width, height);
        Bytes file;
        StoredPng png(width, height, alpha);
        png.begin(file);
        for (uint32_t at = 0; at < height; at += rows) {
          const size_t row = size_t{width} * 4;
          png.write(std::span(rgba).subspan(at * row, std::min(rows, height - at) * row), file);
        }
        CHECK(file.size() == StoredPng::size(width, height, alpha));
        check_png(file, width, height, alpha, rgba);
      }
    }
  }
}
