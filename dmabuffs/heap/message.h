// SPDX-License-Identifier: MIT
/// Words that the heaps' messages share.
#pragma once
#include <cstdint>
#include <string>

#include "dmabuffs/base/result.h"

namespace dmabuffs {

/// "512 B", "4.0 KiB", "1.5 GiB".
std::string size_text(uint64_t bytes);
/// As fail_errno, with the remedy for EMFILE and ENFILE (too many descriptors).
Failure fail_system(int code, const std::string& object);

/// Puts "object: " before the message of a failure.
template <class T>
Result<T> about(const std::string& object, Result<T> result) {
  if (!result) result.error().message.insert(0, object + ": ");
  return result;
}

}  // namespace dmabuffs
