// SPDX-License-Identifier: MIT
#include "dmabuffs/transfer/cache_choice.h"

#include "dmabuffs/base/page_cache.h"

namespace dmabuffs {

bool cache_is_faster(int fd, Range range) {
  return cached_bytes(fd, range).value_or(0) >= range.length / 4 * 3 && range.length > 0;
}

}  // namespace dmabuffs
