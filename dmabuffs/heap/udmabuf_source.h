// SPDX-License-Identifier: MIT
/// What the machine and the mount's settings say about making udmabufs.
#pragma once
#include <cstdint>
#include <string>

#include "dmabuffs/base/result.h"
#include "dmabuffs/heap/huge_pages.h"

namespace dmabuffs {

/// `--heap udmabuf:huge=`
enum class HugeUse {
  Auto,   ///< huge pages as far as there are any, else 4 KiB pages
  Never,  ///< 4 KiB pages (some importers refuse huge pages: CUDA)
  Always  ///< nothing but huge pages, or a refusal
};

/// What a udmabuf is made with.
struct UdmabufSource {
  std::string node = "/dev/udmabuf";
  KernelNumber size_limit_file{"/sys/module/udmabuf/parameters/size_limit_mb"};
  HugePages huge_pages;
  HugeUse huge = HugeUse::Auto;

  /// The kernel's limit of one udmabuf in bytes, read anew; UINT64_MAX where there is none.
  [[nodiscard]] uint64_t size_limit() const;
  /// EFBIG with the remedy when `capacity` is beyond size_limit().
  [[nodiscard]] Result<void> check_size(uint64_t capacity) const;
};

}  // namespace dmabuffs
