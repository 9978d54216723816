// SPDX-License-Identifier: MIT
#include "dmabuffs/cli/mount/background.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <initializer_list>
#include <string_view>

#include "dmabuffs/base/service_manager.h"
#include "dmabuffs/base/unique_fd.h"
#include "dmabuffs/cli/commands.h"

namespace dmabuffs::cli {

namespace {

/// Behind all that is said: this byte, then the exit status. No text has it.
constexpr char kEnd = '\0';

/// The parent: passes on what the child, and fusermount3 for it, say on their standard error, until the exit
/// status comes. A child that dies says none.
[[noreturn]] void wait_for(int child) {
  char part[512];
  bool ended = false;
  ssize_t got = 0;
  while ((got = ::read(child, part, sizeof part)) > 0 || (got < 0 && errno == EINTR)) {
    const std::string_view said(part, static_cast<size_t>(std::max<ssize_t>(got, 0)));
    if (ended && !said.empty()) ::_exit(said.front());
    const size_t end = said.find(kEnd);
    (void)!::write(STDERR_FILENO, said.data(), std::min(end, said.size()));
    if (end == said.npos) continue;
    if (end + 1 < said.size()) ::_exit(said[end + 1]);
    ended = true;
  }
  ::_exit(report("the daemon died at its start; `dmabuffs mount -f` shows more"));
}

/// Going on in the calling shell's own process would leave it waiting for as long as the mount lasts.
[[noreturn]] void give_up() {
  ::_exit(report(std::string("no background process for the mount: ") + std::strerror(errno)));
}

/// The number N of "/dev/fd/N", as which mount.fuse3 passes a mount that it has opened; else what no
/// descriptor is.
unsigned descriptor_of(const std::string& mountpoint) {
  unsigned number = 0;
  return std::sscanf(mountpoint.c_str(), "/dev/fd/%u", &number) == 1 ? number : ~0U - 1;
}

/// Else the next files opened would have these numbers.
void open_standard_streams() {
  int fd = 0;
  do fd = ::open("/dev/null", O_RDWR);
  while (fd >= 0 && fd <= STDERR_FILENO);
  ::close(fd);
}

void turn_to_null(std::initializer_list<int> streams) {
  const UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  for (const int fd : streams) ::dup2(null.get(), fd);
}

/// What the caller has open is the caller's: a pipe whose reader waits for its end, a lock, a jobserver. A
/// daemon, and the fusermount3 that stays beside it, would keep that for as long as the mount lasts.
void let_go_of_callers_files(const std::string& mountpoint) {
  const unsigned kept = descriptor_of(mountpoint);
  if (kept > 3) ::close_range(3, kept - 1, 0);
  ::close_range(std::max(kept + 1, 3U), ~0U, 0);
}

}  // namespace

Background Background::split(bool foreground, const std::string& mountpoint) {
  Background self;
  if (foreground) {
    ::close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
    return self;
  }
  open_standard_streams();
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) give_up();
  const pid_t parent = ::getpid(), child = ::fork();
  if (child < 0) give_up();
  if (child > 0) {
    ::close(ends[1]);
    wait_for(ends[0]);
  }
  // Who gave `mount` up while it waited for something is not to find a mount later.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(1);
  self.told_ = false;
  turn_to_null({STDIN_FILENO, STDOUT_FILENO});
  ::dup2(ends[1], STDERR_FILENO);
  let_go_of_callers_files(mountpoint);
  ::setsid();
  return self;
}

void Background::outlive_caller() {
  ::prctl(PR_SET_PDEATHSIG, 0);
}

void Background::tell(int status) {
  const char last[] = {kEnd, static_cast<char>(status)};
  (void)!::write(STDERR_FILENO, last, sizeof last);
  turn_to_null({STDERR_FILENO});
  told_ = true;
}

void Background::ready(const std::string& what) {
  (void)ServiceManager().tell("READY=1\nSTATUS=" + what);
  if (!told_) tell(0);
}

int Background::failed(const std::string& message, int status) {
  report(message);
  if (!told_) tell(status);
  return status;
}

}  // namespace dmabuffs::cli
