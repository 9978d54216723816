// SPDX-License-Identifier: MIT
/// Making memfds, the same way everywhere.
#pragma once
#include <string>

#include "dmabuffs/base/result.h"
#include "dmabuffs/base/unique_fd.h"

namespace dmabuffs {

enum class PageSize { Small, Huge };

/// An empty memfd: close-on-exec, sealable, never executable where the kernel knows that (6.3). Huge: 2 MiB
/// hugetlb pages. EMFILE and ENFILE come with the remedy; a kernel without 2 MiB hugetlb pages answers ENODEV
/// or EINVAL.
Result<UniqueFd> make_memfd(const std::string& name, PageSize pages);

}  // namespace dmabuffs
