// SPDX-License-Identifier: MIT
/// libFuzzer's way in (CONTRIBUTING.md).
#include <cstddef>
#include <cstdint>

#include "fuzz/image.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  dmabuffs::fuzz::image({reinterpret_cast<const char*>(data), size});
  return 0;
}
