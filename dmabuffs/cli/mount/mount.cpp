// SPDX-License-Identifier: MIT
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <malloc.h>

#include <csignal>
#include <memory>

#include "dmabuffs/base/log.h"
#include "dmabuffs/base/service_manager.h"
#include "dmabuffs/cli/commands.h"
#include "dmabuffs/cli/doctor/checks.h"
#include "dmabuffs/cli/mount/background.h"
#include "dmabuffs/cli/mount/mountpoint.h"
#include "dmabuffs/cli/mount/settings.h"
#include "dmabuffs/cli/output.h"
#include "dmabuffs/control/server/control.h"
#include "dmabuffs/fuse/session.h"
#include "dmabuffs/heap/drm_node.h"
#include "dmabuffs/heap/message.h"
#include "dmabuffs/tree/caller_rights.h"
#include "dmabuffs/tree/files/files.h"
#include "dmabuffs/tree/heaps/buffer_file.h"
#include "dmabuffs/tree/heaps/heaps.h"

namespace dmabuffs::cli {

namespace {

constexpr unsigned kPatienceAtEnd = 60;  // seconds

/// Two descriptors a buffer: as many as the system gives.
void raise_descriptor_limit() {
  struct rlimit limit {};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  const struct rlimit more { 1 << 20, 1 << 20 };
  if (limit.rlim_max < more.rlim_max && ::setrlimit(RLIMIT_NOFILE, &more) == 0)
    return;  // needs CAP_SYS_RESOURCE
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

/// What a client stores is the client's affair, not that of the shell the daemon was started from.
void raise_file_size_limit() {
  struct rlimit limit {};
  if (::getrlimit(RLIMIT_FSIZE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_FSIZE, &limit);
}

/// Files of the mount itself must not lie in it.
Result<void> check(const MountSettings& settings) {
  TRY(check_files_allowed(settings));
  for (const FilesOption& option : settings.files) {
    if (option.directory == settings.mountpoint) {
      return fail(EINVAL, "--files " + option.directory + ": that is the mount point itself");
    }
  }
  return {};
}

/// A heap that was asked for: what there is instead, and how it could be had.
std::string missing_heap(const std::string& name) {
  Diagnosis devices;
  check_devices(this_machine(false), devices);
  std::string text = "--heap " + name + ": there is no such heap here; there are";
  for (const HeapReport& heap : devices.heaps)
    text += (&heap == &devices.heaps.front() ? " " : ", ") + heap.name;
  const std::string device = name == "system" ? "dma-heaps" : name == "direct" ? "kernel-module" : name;
  for (const Check& check : devices.checks)
    if (check.name == device)
      text += "; " + check.detail + (check.fix.empty() ? "" : "; as root: " + check.fix);
  const std::string card = name.compare(0, 4, "drm-") == 0 ? "/dev/dri/" + name.substr(4) : std::string();
  if (!card.empty() && drm_heap_name(name.substr(4)).empty())
    text += "; displays' heaps are called drm-card0 and so on, as the nodes in /dev/dri";
  else if (!card.empty() && ::access(card.c_str(), F_OK) != 0)
    text += "; " + card + " is not there: no display's driver is loaded, or this /dev is without it";
  if (name.find(',') != std::string::npos) text += "; --heap names one heap, and may be given once more";
  return text + "; --heap-if-present " + name + " (in fstab and -o: heap_if_present=) shows it when it comes";
}

/// Before the terminal is let go, so that a misspelt number is seen.
void warn_of(const MountSettings& settings) {
  // As for tmpfs(5), whose size= may be anything: there may be swap, and sparse buffers.
  if (settings.size > machine_memory())
    report("-o size=: a warning: " + size_text(settings.size) + " are more than this machine's " +
           size_text(machine_memory()) + " of RAM, which the mount may then fill");
}

int run(MountSettings settings) {
  Background background = Background::split(settings.foreground, settings.mountpoint);
  auto stored = ServiceManager::take_stored();
  start_log(settings.foreground, settings.debug);
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGIO, SIG_IGN);    // somebody breaks a lease (memfd_held_by_others)
  std::signal(SIGXFSZ, SIG_IGN);  // EFBIG for one client instead of death for all
  ::umask(0);
  raise_descriptor_limit();
  raise_file_size_limit();
  if (settings.allow_other) give_up_reserved_resources();
  // Each thread that renders a long status would else keep an arena of that size for good.
  ::mallopt(M_ARENA_MAX, 2);

  auto mountpoint = prepare_mountpoint(settings.mountpoint);
  if (!mountpoint) return background.failed(mountpoint.error().message);
  settings.mountpoint = mountpoint->path;
  if (auto ok = check(settings); !ok) return background.failed(ok.error().message);
  // A namespace's private mount goes with its last process; fusermount3 has no rights there.
  if (settings.private_mount) settings.auto_unmount = false;
  if (settings.auto_unmount && ::access("/bin/fusermount3", X_OK) != 0 && ::geteuid() == 0) {
    settings.auto_unmount = false;
  }

  MountContext context(std::move(settings));
  context.keeper = Keeper::make(std::move(stored), context.budget);
  auto heaps = HeapRegistry::make(context.budget, context.settings.heaps);
  if (!heaps) return background.failed(heaps.error().message, heaps.error().code == EINVAL ? kUsageError : 1);
  context.heaps = std::move(*heaps);
  if (const auto missing = context.heaps->missing(); !missing.empty())
    return background.failed(missing_heap(missing.front()));
  auto session = Session::make(context);
  if (!session) return background.failed(session.error().message);
  warn_of(context.settings);
  Background::outlive_caller();
  if (auto mounted = (*session)->mount(); !mounted)
    return background.failed(mounted.error().message + ": " + why_not_mounted(context.settings));
  mountpoint->lock.reset();
  auto socket = ControlSocket::make(context, [&](uint64_t ino) { return (*session)->nodes().find(ino); });
  if (!socket) return background.failed(socket.error().message);
  (*socket)->start();
  if (::chdir("/") != 0) log_warning(std::string("chdir /: ") + std::strerror(errno));

  const auto served = (*session)->serve([&] {
    const std::string line =
        "mounted at " + context.settings.mountpoint + " (libfuse " + fuse_pkgversion() + ")";
    context.settings.private_mount ? log_debug(line) : log_info(line);
    background.ready("mounted at " + context.settings.mountpoint);
  });
  // A client's file may lie in a file system that never answers, and even closing it asks that: the process
  // ends then without its threads. All else takes a few seconds at most.
  std::signal(SIGALRM, SIG_DFL);
  ::alarm(kPatienceAtEnd);
  (*session)->unmount();
  (*socket)->stop();
  if (context.keeper) (*session)->heaps()->each_buffer([](BufferFile& file) { file.settle(); });
  ::alarm(0);
  if (!served) return background.failed(served.error().message);
  return 0;
}

}  // namespace

int run_mount(const MountWords& words) {
  auto settings = understand(words);
  if (settings) return run(std::move(*settings));
  report(settings.error().message);
  return settings.error().code == EINVAL ? kUsageError : 1;
}

}  // namespace dmabuffs::cli
