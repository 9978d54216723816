// SPDX-License-Identifier: MIT
#include "dmabuffs/base/bus_faults.h"

#include <sys/mman.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <mutex>

#include "dmabuffs/base/range.h"

namespace dmabuffs {

/// Whole pages that are watched. Who faults in them is their user, so they are watched until the signal
/// handler is through.
struct Watched {
  std::atomic<std::byte*> begin{nullptr};  // nullptr: none; set last
  std::atomic<std::byte*> end{nullptr};
  std::atomic<std::atomic<bool>*> gone{nullptr};
};

namespace {

// What a signal handler can reach has no other place. More than there are threads that move bytes.
std::array<Watched, 1024> all_watched;  // NOLINT(cppcoreguidelines-avoid-non-const-global-variables)
std::mutex choosing;                    // NOLINT(cppcoreguidelines-avoid-non-const-global-variables)

std::byte* page_of(std::byte* at) {
  return at - reinterpret_cast<uintptr_t>(at) % kPage;
}

/// Calls nothing that a signal handler may not (signal-safety(7)). False: `page` is nobody's.
bool put_zeros(std::byte* page) {
  for (const Watched& watched : all_watched) {
    std::byte *const begin = watched.begin, *const end = watched.end;
    std::atomic<bool>* const gone = watched.gone;
    if (begin == nullptr || page < begin || page >= end || watched.begin != begin) continue;
    *gone = true;
    return ::mmap(page, end - page, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0) != MAP_FAILED;
  }
  return false;
}

void on_bus_error(int, siginfo_t* about, void*) {
  const int before = errno;
  // Broken memory of this process itself has other codes.
  if (about->si_code != BUS_ADRERR || !put_zeros(page_of(static_cast<std::byte*>(about->si_addr)))) {
    std::signal(SIGBUS, SIG_DFL);
    if (about->si_code <= 0) (void)::raise(SIGBUS);  // else it comes again by itself
  }
  errno = before;
}

void listen() {
  struct sigaction action {};
  action.sa_sigaction = on_bus_error;
  action.sa_flags = SA_SIGINFO;
  (void)::sigaction(SIGBUS, &action, nullptr);
}

}  // namespace

Result<BusFaultGuard> BusFaultGuard::over(std::span<std::byte> bytes, std::atomic<bool>& gone) {
  static std::once_flag once;
  std::call_once(once, listen);
  const std::lock_guard lock(choosing);
  for (Watched& watched : all_watched) {
    if (watched.begin != nullptr) continue;
    watched.end = page_of(bytes.data() + bytes.size() + kPage - 1);
    watched.gone = &gone;
    watched.begin = page_of(bytes.data());
    BusFaultGuard guard;
    guard.watched_.reset(&watched);
    return guard;
  }
  return fail(ENOMEM, "too many imported dma-bufs are read or written at once; try again");
}

void BusFaultGuard::Forget::operator()(Watched* watched) const {
  watched->begin = nullptr;
}

}  // namespace dmabuffs
