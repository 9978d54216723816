// SPDX-License-Identifier: MIT
#include "dmabuffs/heap/udmabuf_source.h"

#include <limits>

#include "dmabuffs/base/range.h"
#include "dmabuffs/base/units.h"
#include "dmabuffs/heap/message.h"

namespace dmabuffs {

uint64_t UdmabufSource::size_limit() const {
  constexpr uint64_t kNone = std::numeric_limits<uint64_t>::max();
  // The kernel's int: 7.x has INT_MAX for "no limit", and a negative one becomes huge there. 0 is left to the
  // kernel.
  const auto megabytes = size_limit_file.read();
  if (!megabytes || *megabytes == 0 || *megabytes >= std::numeric_limits<int>::max()) return kNone;
  return *megabytes * kMiB;
}

Result<void> UdmabufSource::check_size(uint64_t capacity) const {
  const uint64_t limit = size_limit();
  if (capacity <= limit) return {};
  const uint64_t enough = round_up(capacity, 1024 * kMiB) / kMiB;
  return fail(EFBIG, size_text(capacity) + " is more than this kernel allows for one udmabuf (" +
                         size_text(limit) + "); as root: echo " + std::to_string(enough) + " > " +
                         size_limit_file.path() + " or: dmabuffs doctor --fix");
}

}  // namespace dmabuffs
