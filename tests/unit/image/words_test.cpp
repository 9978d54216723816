// SPDX-License-Identifier: MIT
#include "dmabuffs/image/words.h"

#include "catch.h"

using namespace dmabuffs::image;

TEST_CASE("words: capitals make no difference, lengths do") {
  CHECK(same_word("nv12", "NV12"));
  CHECK(same_word("", ""));
  CHECK(!same_word("nv1", "nv12"));
  CHECK(!same_word("nv21", "nv12"));
  CHECK(!same_word("\xe4", "\xc4"));  // no letters of ASCII
}

TEST_CASE("words: what is quoted is short, and controls no terminal") {
  CHECK(in_quotes("NV12") == "'NV12'");
  CHECK(in_quotes("a\x1b\x7f\n") == "'a?\?\?'");
  CHECK(in_quotes(std::string(40, 'x')) == "'" + std::string(40, 'x') + "'");
  CHECK(in_quotes(std::string(41, 'x')) == "'" + std::string(40, 'x') + "...'");
}

TEST_CASE("words: parts may be empty") {
  using Parts = std::vector<std::string_view>;
  CHECK(split("a,b", ',') == Parts{"a", "b"});
  CHECK(split(",a,", ',') == Parts{"", "a", ""});
  CHECK(split("", ',') == Parts{""});
}
