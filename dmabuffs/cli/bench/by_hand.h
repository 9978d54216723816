// SPDX-License-Identifier: MIT
/// The ways of the mailing lists: memory made and filled as a careful user would by hand, one system call
/// after the other. Nothing here is what a mount does.
#pragma once
#include <memory>

#include "dmabuffs/base/kernel_module.h"
#include "dmabuffs/cli/bench/attempt.h"
#include "dmabuffs/cli/bench/file.h"

namespace dmabuffs::cli::bench {

enum class Memory {
  Anonymous,    ///< in huge pages, where the machine gives them, populated
  Memfd,        ///< 4 KiB pages that are not there yet
  Udmabuf,      ///< a memfd of 4 KiB pages, and the udmabuf over it
  UdmabufHuge,  ///< of 2 MiB pages (hugetlb)
  SystemHeap,   ///< /dev/dma_heap/system
  Loaded,       ///< made by the kernel module while it is filled
};
enum class Means {
  ReadWrite,   ///< read(2) or write(2) at the mapping
  Sendfile,    ///< sendfile(2) between the file and the memfd
  Splice,      ///< splice(2) by a pipe of 1 MiB
  Registered,  ///< io_uring with the memory registered, 16 reads of 1 MiB in flight
  Module,      ///< the kernel module's TRANSFER, or LOAD where that makes the memory
  CpuCopy,     ///< memcpy from other memory; no file
  CpuZero,     ///< memset; no file
};

struct HandWay {
  Memory memory;
  Means means;
  bool direct;  ///< O_DIRECT
};

/// What the attempts borrow; all of it outlives them.
struct HandTools {
  const BenchFile& source;   ///< FILE
  const BenchFile* scratch;  ///< what is written; may be null where nothing is
  const KernelModule& module;
};

std::unique_ptr<Attempt> by_hand(const HandWay& way, Direction direction, const Cut& cut,
                                 const HandTools& tools);

}  // namespace dmabuffs::cli::bench
