// SPDX-License-Identifier: MIT
#include "dmabuffs/cli/mount/unmount.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>

#include "dmabuffs/base/child_process.h"
#include "dmabuffs/base/unique_fd.h"

namespace dmabuffs::cli {
namespace {

/// Runs `program OPTION -- PATH`.
Result<void> run(const char* program, const char* option, const std::string& path) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return fail_errno(errno, "pipe");
  const UniqueFd reader(ends[0]);
  UniqueFd writer(ends[1]);
  auto child = ChildProcess::start(SIGTERM, [&] {
    ::setenv("LC_ALL", "C", 1);
    ::dup2(writer.get(), 2);
    ::execlp(program, program, option, "--", path.c_str(), nullptr);
    return 127;
  });
  writer.reset();
  if (!child) return pass(std::move(child));
  std::string said(1024, '\0');
  const ssize_t got = ::read(reader.get(), said.data(), said.size());
  said.resize(static_cast<size_t>(std::max<ssize_t>(got, 0)));
  const int status = shell_status(child->reap());
  if (status == 0) return {};
  if (status == 127) return fail(ENOENT, path + ": fusermount3 is missing; install it (package fuse3)");
  while (!said.empty() && said.back() == '\n') said.pop_back();
  std::replace(said.begin(), said.end(), '\n', ' ');
  return fail(said.find("busy") != std::string::npos ? EBUSY : EPERM, path + ": " + said);
}

}  // namespace

Result<void> unmount_as_user(const std::string& path, bool lazy) {
  auto done = run("fusermount3", lazy ? "-uz" : "-u", path);
  if (done || done.error().code == EBUSY) return done;
  const auto otherwise = run("umount", lazy ? "-il" : "-i", path);
  if (otherwise) return {};
  return otherwise.error().code == EBUSY ? Failure(otherwise.error()) : std::move(done);
}

}  // namespace dmabuffs::cli
