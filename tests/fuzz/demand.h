// SPDX-License-Identifier: MIT
#pragma once
#include <cstdio>
#include <cstdlib>

namespace dmabuffs::fuzz {

/// Ends the process, which the fuzzer takes for a finding, where `what` is not so.
inline void demand(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "fuzz: not so: %s\n", what);
  std::abort();
}

}  // namespace dmabuffs::fuzz
