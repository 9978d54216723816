// SPDX-License-Identifier: MIT
// What the tests of passthrough to dma-bufs share.
#pragma once
#include <sys/mman.h>

#include "dmabuffs/base/mapping.h"
#include "mount_support.h"

namespace mount_support {

using dmabuffs::Mapping;

constexpr size_t kPage = 4096, kSize = size_t{3} << 20;

inline std::string pattern(size_t size, unsigned seed) {
  std::string text(size, '\0');
  for (size_t i = 0; i < size; ++i) text[i] = static_cast<char>(1 + (i * 13 + i / 4096 + seed) % 255);
  return text;
}

/// On each heap of dma-bufs, with the path for a new buffer.
template <class Look>
void on_each_heap(const Mount& mount, Look look) {
  int heaps = 0;
  for (const std::string& heap : mount.heaps()) {
    if (heap == "memfd") continue;
    INFO("heap " << heap);
    const std::string path = mount.heap(heap) + "buffer";
    look(path);
    ::unlink(path.c_str());
    ++heaps;
  }
  REQUIRE(heaps > 0);
}

inline Mapping map(const UniqueFd& fd, size_t bytes, int protection = PROT_READ | PROT_WRITE) {
  auto mapped = Mapping::of_file(fd.get(), 0, bytes, protection);
  INFO((mapped ? "" : mapped.error().message));
  REQUIRE(mapped);
  return std::move(*mapped);
}

inline std::string text_of(const Mapping& mapping) {
  return {reinterpret_cast<const char*>(mapping.data()), mapping.size()};
}

inline bool same(const std::string& a, const std::string& b) {
  return a == b;
}

}  // namespace mount_support
