// SPDX-License-Identifier: MIT
/// cmp(1) of two files on disks, past the page cache.
#include <cstdio>

#include "direct_reader.h"

namespace {

int trouble(const std::string& message) {
  std::fprintf(stderr, "same-bytes: %s\n", message.c_str());
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return trouble("usage: same-bytes FILE FILE");
  auto first = dmabuffs::DirectReader::open(argv[1]);
  if (!first) return trouble(first.error().message);
  auto second = dmabuffs::DirectReader::open(argv[2]);
  if (!second) return trouble(second.error().message);
  while (true) {
    const size_t at = first->offset();
    const auto a = first->next();
    if (!a) return trouble(a.error().message);
    const auto b = second->next();
    if (!b) return trouble(b.error().message);
    if (a->size() != b->size() || std::memcmp(a->data(), b->data(), a->size()) != 0) {
      std::printf("they differ behind byte %zu\n", at);
      return 1;
    }
    if (a->empty()) return 0;
  }
}
