// SPDX-License-Identifier: MIT
#include "dmabuffs/tree/caller_rights.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <sstream>
#include <utility>

#include "dmabuffs/base/log.h"
#include "dmabuffs/base/unique_fd.h"

namespace dmabuffs {
namespace {

constexpr uint64_t bit(int capability) {
  return uint64_t{1} << capability;
}

using CapabilityWords = std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3>;

bool get_capabilities(CapabilityWords& words) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  return ::syscall(SYS_capget, &header, words.data()) == 0;
}

/// Changes the calling thread's effective set only.
bool set_effective(uint64_t effective) {
  CapabilityWords words{};
  if (!get_capabilities(words)) return false;
  words[0].effective = static_cast<uint32_t>(effective);
  words[1].effective = static_cast<uint32_t>(effective >> 32);
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  return ::syscall(SYS_capset, &header, words.data()) == 0;
}

// The library's setgroups changes every thread of the process; the system call this one.
bool set_groups(const std::vector<gid_t>& groups) {
  return ::syscall(SYS_setgroups, groups.size(), groups.data()) == 0;
}

// setfsuid and setfsgid report no failure: ask for the value afterwards.
uid_t current_fsuid() {
  return static_cast<uid_t>(::setfsuid(static_cast<uid_t>(-1)));
}
gid_t current_fsgid() {
  return static_cast<gid_t>(::setfsgid(static_cast<gid_t>(-1)));
}

bool set_fsuid(uid_t uid) {
  ::setfsuid(uid);
  return current_fsuid() == uid;
}

bool set_fsgid(gid_t gid) {
  ::setfsgid(gid);
  return current_fsgid() == gid;
}

bool read_groups(std::vector<gid_t>& groups) {
  const int count = ::getgroups(0, nullptr);
  if (count < 0) return false;
  groups.resize(static_cast<size_t>(count));
  return ::getgroups(count, groups.data()) == count;
}

bool read_own(Credentials& own) {
  CapabilityWords words{};
  if (!get_capabilities(words) || !read_groups(own.groups)) return false;
  own.capabilities = words[0].effective | uint64_t{words[1].effective} << 32;
  own.uid = current_fsuid();
  own.gid = current_fsgid();
  return true;
}

/// Where setgroups is forbidden altogether the groups never changed, which is as good.
bool put_groups_back(const std::vector<gid_t>& groups) {
  if (set_groups(groups)) return true;
  std::vector<gid_t> now;
  return read_groups(now) && now == groups;
}

std::string read_text(const std::string& path) {
  std::string text;
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return text;
  std::array<char, 4096> part;
  ssize_t got = 0;
  while ((got = ::read(fd.get(), part.data(), part.size())) > 0)
    text.append(part.data(), static_cast<size_t>(got));
  return text;
}

/// What follows `key` on its line of a status file.
std::istringstream field(const std::string& status, const std::string& key) {
  const size_t found = status.find("\n" + key + ":");
  if (found == std::string::npos) return std::istringstream();
  const size_t start = found + key.size() + 2;
  return std::istringstream(status.substr(start, status.find('\n', start) - start));
}

/// Where it can't be told they are of another.
bool in_own_user_namespace(pid_t thread) {
  struct stat own {
  }, theirs{};
  return ::stat("/proc/thread-self/ns/user", &own) == 0 &&
         ::stat(("/proc/" + std::to_string(thread) + "/ns/user").c_str(), &theirs) == 0 &&
         own.st_dev == theirs.st_dev && own.st_ino == theirs.st_ino;
}

/// The id file accesses are checked with: the last of "real effective saved filesystem".
bool filesystem_id_is(std::istringstream ids, uint64_t expected) {
  uint64_t real = 0, effective = 0, saved = 0, filesystem = 0;
  return static_cast<bool>(ids >> real >> effective >> saved >> filesystem) && filesystem == expected;
}

}  // namespace

Credentials credentials_of(const Caller& caller) {
  Credentials credentials{caller.uid, caller.gid, {}, 0};
  if (caller.pid == 0) return credentials;
  const std::string status = read_text("/proc/" + std::to_string(caller.pid) + "/status");
  if (!filesystem_id_is(field(status, "Uid"), caller.uid)) return credentials;
  if (!filesystem_id_is(field(status, "Gid"), caller.gid)) return credentials;
  auto groups = field(status, "Groups");
  for (gid_t group = 0; groups >> group;) credentials.groups.push_back(group);
  // Others than root have none to use (see take).
  if (caller.uid == 0 && in_own_user_namespace(caller.pid))
    field(status, "CapEff") >> std::hex >> credentials.capabilities;
  return credentials;
}

Result<CallerRights> CallerRights::take(const Credentials& wanted) {
  CallerRights rights;
  bool done = read_own(rights.own_);
  rights.active_ = done;
  uint64_t effective = 0;
  if (wanted.uid == 0) effective = rights.own_.capabilities & wanted.capabilities & ~bit(CAP_SYS_RESOURCE);
  // In this order: each step needs rights that the next takes away.
  done = done && set_groups(wanted.groups) && set_fsgid(wanted.gid) && set_fsuid(wanted.uid) &&
         set_effective(effective);
  if (!done)
    return fail(EPERM, "acting as uid " + std::to_string(wanted.uid) + ": this daemon may not switch users");
  return Result<CallerRights>(std::move(rights));
}

CallerRights::CallerRights(CallerRights&& other) noexcept
    : active_(std::exchange(other.active_, false)), own_(std::move(other.own_)) {}

CallerRights::~CallerRights() {
  if (!active_) return;
  // The own ids need no capability; setgroups needs CAP_SETGID back first. Last the effective set once more,
  // because the change of fsuid to 0 raised the file capabilities in it.
  const bool back = set_effective(own_.capabilities) && set_fsuid(own_.uid) && set_fsgid(own_.gid) &&
                    put_groups_back(own_.groups) && set_effective(own_.capabilities);
  if (back) return;
  log_error("the daemon could not take its own rights back after a request; it ends here");
  std::abort();
}

void give_up_reserved_resources() {
  CapabilityWords words{};
  if (!get_capabilities(words)) return;
  constexpr auto kBit = static_cast<uint32_t>(1u << CAP_SYS_RESOURCE);
  words[0].effective &= ~kBit;
  words[0].permitted &= ~kBit;
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  if (::syscall(SYS_capset, &header, words.data()) != 0)
    log_warning(std::string("CAP_SYS_RESOURCE can't be given up: ") + std::strerror(errno));
}

void drop_privilege_bits(int fd) {
  struct stat st {};
  if (::fstat(fd, &st) != 0) return;
  mode_t bits = st.st_mode & S_ISUID;
  if (st.st_mode & S_IXGRP) bits |= st.st_mode & S_ISGID;
  if (bits != 0) (void)::fchmod(fd, (st.st_mode & ~bits) & 07777);
}

}  // namespace dmabuffs
