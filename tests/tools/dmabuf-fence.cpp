// SPDX-License-Identifier: MIT
/// Keeps a dma-buf that another process holds busy, as a device that writes it would, for some seconds (vgem
/// ends it after 10 by itself). Says "busy" on the standard output when it is.
#include <chrono>
#include <thread>

#include "foreign_dmabuf.h"
#include "vgem_fence.h"

int main(int argc, char** argv) {
  if (argc != 4) return foreign::misuse("dmabuf-fence PID INODE SECONDS");
  const auto dmabuf = foreign::take(std::atoi(argv[1]), std::strtoull(argv[2], nullptr, 0));
  if (!dmabuf) return foreign::trouble("dmabuf-fence", dmabuf.error().message);
  const auto fence = vgem::Fence::put_on(dmabuf->get(), true);
  if (!fence) return foreign::trouble("dmabuf-fence", fence.error().message);
  std::puts("busy");
  std::fflush(stdout);
  std::this_thread::sleep_for(std::chrono::duration<double>(std::strtod(argv[3], nullptr)));
  return 0;
}
