// SPDX-License-Identifier: MIT
/// `dmabuffs import [--rw] [--pid PID] --fd N FILE`: makes a file of a dma-buf that a program has.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "dmabuffs/base/unique_fd.h"
#include "dmabuffs/cli/commands.h"
#include "dmabuffs/cli/output.h"
#include "dmabuffs/control/hand_out.h"
#include "dmabuffs/control/way.h"

namespace dmabuffs::cli {

namespace {

/// A copy, with the rights of this process: the daemon takes nothing from others.
Result<UniqueFd> fetch(pid_t pid, int number) {
  const std::string process = "process " + std::to_string(pid);
  const UniqueFd owner(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!owner && (errno == ESRCH || errno == EINVAL)) return fail(errno, process + ": there is none");
  if (!owner) return fail_errno(errno, process);
  UniqueFd fd(static_cast<int>(::syscall(SYS_pidfd_getfd, owner.get(), number, 0)));
  if (fd) return fd;
  switch (errno) {
    case EBADF:
      return fail(EBADF, process + ": it has no descriptor " + std::to_string(number));
    case EPERM:
      return fail(EPERM, process +
                             ": its descriptors are not yours to take (as with ptrace(2): for its own user, "
                             "where kernel.yama.ptrace_scope is 0, and for root)");
    case ESRCH:
      return fail(ESRCH, process + ": it has ended");
    default:
      return fail_errno(errno, process + ", descriptor " + std::to_string(number));
  }
}

/// Of a file that is no dma-buf: what has its bytes in a buffer all the same.
std::string copy_instead(const ImportOptions& options) {
  const std::string process = options.pid ? std::to_string(*options.pid) : "self";
  const std::string below = "heaps/import/";
  const size_t at = options.path.rfind(below);
  const std::string to = at == std::string::npos ? "MOUNTPOINT/heaps/memfd/NAME"
                                                 : options.path.substr(0, at) + "heaps/memfd/" +
                                                       options.path.substr(at + below.size());
  return "; copy it: `dmabuffs cp /proc/" + process + "/fd/" + std::to_string(options.fd) + " " + to + "`";
}

Result<void> import(const ImportOptions& options) {
  UniqueFd fetched;
  if (options.pid)
    fetched = TRY(fetch(*options.pid, options.fd));
  else if (::fcntl(options.fd, F_GETFD) < 0)
    return fail(EBADF, "descriptor " + std::to_string(options.fd) + ": not open here; --pid names its owner");
  const std::string format = options.picture.empty() ? "" : image::to_text(options.picture);
  TRY(check_answers(options.path));
  Clients clients;
  const int fd = fetched ? fetched.get() : options.fd;
  const auto made = import_dmabuf(clients, fd, options.path, options.writable, format);
  if (made) return {};
  const Error& error = made.error();
  struct statx st {
  };  // of what the kernel knows: the descriptor may be of a file system that does not answer
  const bool copies = error.message.ends_with("is no dma-buf") &&
                      ::statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, 0, &st) == 0 &&
                      S_ISREG(st.stx_mode);
  return fail(error.code, error.message + (copies ? copy_instead(options) : ""));
}

}  // namespace

int run_import(const ImportOptions& options) {
  if (!options.picture.empty())
    if (const auto picture = image::make_picture(options.picture, image::Padding::None); !picture)
      return misuse("import", picture.error().message);
  const auto done = import(options);
  return done ? 0 : report("import: " + done.error().message);
}

}  // namespace dmabuffs::cli
