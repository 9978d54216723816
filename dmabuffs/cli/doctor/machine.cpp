// SPDX-License-Identifier: MIT
#include "dmabuffs/cli/doctor/machine.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <sstream>

#include "dmabuffs/base/child_process.h"
#include "dmabuffs/base/read_file.h"
#include "dmabuffs/base/unique_fd.h"
#include "dmabuffs/cli/doctor/trial.h"
#include "dmabuffs/fuse/fuse_version.h"
#include "dmabuffs/transfer/uring.h"

namespace dmabuffs::cli {
namespace {

struct User {
  uid_t uid = 0;
  gid_t gid = 0;
  std::string name;
};

User user_of(uid_t uid) {
  const passwd* entry = ::getpwuid(uid);
  if (entry == nullptr) return {uid, ::getgid(), std::to_string(uid)};
  return {uid, entry->pw_gid, entry->pw_name};
}

User subject(bool for_sudo_user) {
  const char* caller = std::getenv("SUDO_UID");
  if (for_sudo_user && ::geteuid() == 0 && caller != nullptr)
    return user_of(static_cast<uid_t>(std::strtoul(caller, nullptr, 10)));
  return user_of(::geteuid());
}

std::vector<gid_t> groups_of(const User& user) {
  int count = 64;
  std::vector<gid_t> groups(static_cast<size_t>(count));
  if (::getgrouplist(user.name.c_str(), user.gid, groups.data(), &count) < 0) {
    groups.resize(static_cast<size_t>(count));
    ::getgrouplist(user.name.c_str(), user.gid, groups.data(), &count);
  }
  groups.resize(static_cast<size_t>(std::max(count, 0)));
  return groups;
}

int open_error(const std::string& path) {
  return UniqueFd(::open(path.c_str(), O_RDWR | O_CLOEXEC)).valid() ? 0 : errno;
}

bool become(const User& user) {
  return ::initgroups(user.name.c_str(), user.gid) == 0 && ::setgid(user.gid) == 0 && ::setuid(user.uid) == 0;
}

int open_error_as(const User& user, const std::string& path) {
  auto child = ChildProcess::start(SIGKILL, [&] { return become(user) ? open_error(path) : EACCES; });
  return child ? shell_status(child->reap()) : child.error().code;
}

bool has_admin_capability() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = {};
  return ::syscall(SYS_capget, &header, sets) == 0 &&
         (sets[CAP_TO_INDEX(CAP_SYS_ADMIN)].effective & CAP_TO_MASK(CAP_SYS_ADMIN)) != 0;
}

int libfuse_version() {
  int major = 0, minor = 0;
  std::sscanf(fuse_pkgversion(), "%d.%d", &major, &minor);
  return major * 100 + minor;
}

}  // namespace

std::optional<std::string> Machine::text(const std::string& path) const {
  auto text = read_file(root + path);
  if (!text) return std::nullopt;
  if (text->ends_with('\n')) text->pop_back();
  return *text;
}

std::optional<uint64_t> Machine::number(const std::string& path) const {
  const auto found = text(path);
  if (!found) return std::nullopt;
  uint64_t value = 0;
  std::istringstream words(*found);
  return words >> value ? std::optional(value) : std::nullopt;
}

std::optional<struct stat> Machine::attributes(const std::string& path) const {
  struct stat info {};
  if (::stat((root + path).c_str(), &info) != 0) return std::nullopt;
  return info;
}

std::vector<std::string> Machine::names(const std::string& path) const {
  std::vector<std::string> names;
  std::error_code error;
  std::filesystem::directory_iterator entry(root + path, error);
  for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error))
    names.push_back(entry->path().filename());
  std::sort(names.begin(), names.end());
  return names;
}

bool Machine::has_module(const std::string& name) const {
  const auto modules = text("/lib/modules/" + kernel + "/modules.dep");
  return modules && modules->find("/" + name + ".ko") != std::string::npos;
}

Machine this_machine(bool for_sudo_user) {
  const User user = subject(for_sudo_user);
  const bool self = user.uid == ::geteuid();
  Machine machine;
  machine.user = user.name;
  machine.groups = groups_of(user);
  utsname names{};
  ::uname(&names);
  machine.kernel = names.release;
  machine.libfuse = libfuse_version();
  machine.may_mount = self && has_admin_capability();
  machine.may_pass_through = machine.may_mount && in_first_user_namespace();
  const auto as_user = [&] { return self || become(user); };
  machine.no_mount = machine.may_mount ? why_no_mount(as_user) : why_no_setuid("/usr/bin/fusermount3");
  machine.no_exec = why_no_private_mount(as_user);
  machine.container = container_here();
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  machine.descriptor_limit = limit.rlim_max;
  if (::getrlimit(RLIMIT_MEMLOCK, &limit) == 0) machine.memlock_limit = limit.rlim_cur;
  machine.io_uring = IoQueue(1).asynchronous();
  machine.io_uring_dmabufs = io_uring_takes_dmabufs();
  machine.open_error = [user, self](const std::string& path) {
    return self ? open_error(path) : open_error_as(user, path);
  };
  return machine;
}

std::string io_uring_text(const Machine& machine) {
  if (!machine.io_uring) return "not allowed";
  return machine.io_uring_dmabufs ? "allowed; raw block devices can do direct I/O into registered dma-bufs"
                                  : "allowed; it does not register dma-bufs (Linux 7.4 may)";
}

}  // namespace dmabuffs::cli
