// SPDX-License-Identifier: MIT
#include "dmabuffs/heap/memfd.h"

#include <fcntl.h>
#include <linux/memfd.h>
#include <sys/mman.h>

#include "dmabuffs/heap/message.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

namespace dmabuffs {

Result<UniqueFd> make_memfd(const std::string& name, PageSize pages) {
  unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
  if (pages == PageSize::Huge) flags |= MFD_HUGETLB | MFD_HUGE_2MB;
  const std::string shown = name.substr(0, 200);  // the kernel takes at most 249 bytes
  int fd = ::memfd_create(shown.c_str(), flags | MFD_NOEXEC_SEAL);
  if (fd < 0 && errno == EINVAL) fd = ::memfd_create(shown.c_str(), flags);
  if (fd < 0) return fail_system(errno, "memfd_create for " + name);
  return UniqueFd(fd);
}

bool memfd_held_by_others(int memfd) {
  const UniqueFd probe(::open(("/proc/self/fd/" + std::to_string(memfd)).c_str(), O_RDWR | O_CLOEXEC));
  // With no signal: who opens it at this moment breaks the lease.
  if (!probe || ::fcntl(probe.get(), F_SETLEASE, F_WRLCK) != 0) return true;
  (void)::fcntl(probe.get(), F_SETLEASE, F_UNLCK);
  return false;
}

}  // namespace dmabuffs
