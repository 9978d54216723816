// SPDX-License-Identifier: MIT
/// What is written down of a name below heaps/, so that it is there again after this program has ended.
#pragma once
#include <sys/types.h>

#include <cstdint>
#include <ctime>
#include <map>
#include <string>
#include <string_view>

namespace dmabuffs {

struct KeptEntry {
  uint64_t number = 0;
  uint64_t parent = 0;  ///< number of its directory; 0: the heap's own
  mode_t mode = 0;      ///< with the file type; 0: there is no such name any more
  uid_t uid = 0;
  gid_t gid = 0;
  uid_t maker = 0;  ///< who is charged
  struct timespec mtime {};
  std::string heap, name;
  std::string target;                         ///< of a symbolic link
  std::map<std::string, std::string> xattrs;  ///< of a buffer, as all below
  uint64_t memory = 0;                        ///< number it is kept by; 0: it has none
  uint64_t size = 0, huge_bytes = 0;
};

std::string to_bytes(const KeptEntry& entry);
/// Takes an entry from the front of `bytes`; false: there is none, or one that nobody can have written.
bool take_entry(std::string_view& bytes, KeptEntry& entry);

}  // namespace dmabuffs
