// SPDX-License-Identifier: MIT
#include "dmabuffs/cli/cp/file.h"

#include <fcntl.h>
#include <sys/resource.h>

#include <filesystem>

#include "dmabuffs/cli/cp/interrupt.h"
#include "dmabuffs/cli/output.h"
#include "dmabuffs/control/way.h"
#include "dmabuffs/heap/message.h"
#include "dmabuffs/tree/files/held.h"
#include "dmabuffs/tree/known_picture.h"

namespace dmabuffs::cli {

namespace {

constexpr mode_t kPermissions = 0777;
constexpr mode_t kWhileCopying = 0600;  // the owner must be able to write what he copies

mode_t current_umask() {
  const mode_t mask = ::umask(0);
  ::umask(mask);
  return mask;
}

/// For a name with a slash at its end that is no directory: of such a one open(2) says "Is a directory".
Failure no_directory(const std::string& name) {
  const std::string bare = name.substr(0, name.find_last_not_of('/') + 1);
  struct stat there {};
  if (::stat(bare.c_str(), &there) == 0)
    return fail(ENOTDIR, name + ": not a directory; leave the / out to overwrite that file");
  if (errno != ENOENT) return path_error(errno, name);
  return fail(
      ENOENT,
      name + ": " +
          why_missing(name, "no such directory; make it with mkdir, or leave the / out to copy to a file"));
}

/// The size that this process may give a file (ulimit -f). The kernel holds us to it, but not the daemon.
uint64_t file_size_limit() {
  struct rlimit limit {};
  if (::getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return UINT64_MAX;
  return limit.rlim_cur;
}

/// A second descriptor for direct I/O, with this user's rights; invalid where the file system has none.
UniqueFd open_direct(int fd, int mode) {
  return UniqueFd(::open(("/proc/self/fd/" + std::to_string(fd)).c_str(), mode | O_DIRECT | O_CLOEXEC));
}

}  // namespace

Failure not_created(int code, const std::string& name) {
  if (code == EPERM && mount_of(name.substr(0, name.rfind('/') + 1) + "."))
    return fail(
        code,
        name + ": " +
            why_missing(
                name,
                "nothing can be made there; buffers live below heaps/HEAP/ (in heaps/import only `dmabuffs "
                "import` makes files)"));
  const std::string directory = name.substr(0, name.find_last_of('/', name.find_last_not_of('/')) + 1);
  if (code == ENOENT && !directory.empty() && ::access(directory.c_str(), F_OK) != 0)
    return fail(code, name + ": " + why_missing(name, "no directory " + directory + "; make it with mkdir"));
  return path_error(code, name);
}

mode_t mode_after_chown(int fd, const struct stat& from) {
  if (::fchown(fd, from.st_uid, from.st_gid) == 0) return from.st_mode & 07777;
  (void)::fchown(fd, static_cast<uid_t>(-1), from.st_gid);
  return from.st_mode & kPermissions;
}

uint64_t FileCopier::Passed::add(UniqueFd fd) {
  fds.push_back(fd.get());
  owned.push_back(std::move(fd));
  return fds.size() - 1;
}

Result<void> FileCopier::look(Side& side) {
  if (::fstat(side.fd.get(), &side.st) != 0) return path_error(errno, side.name);
  side.mount = mount_of_device(mounts_, side.st.st_dev);
  return {};
}

Result<FileCopier::Side> FileCopier::open_source(const std::string& name) {
  Side side{name};
  side.fd.reset(::open(name.c_str(), O_RDONLY | O_CLOEXEC));
  if (!side.fd) return path_error(errno, name);
  TRY(look(side));
  return side;
}

/// Opening truncates nothing yet, so that a file can't be emptied before it is known not to be the source,
/// nor for a transfer that is refused.
Result<FileCopier::Side> FileCopier::open_destination(const std::string& name, const Side& from) {
  Side side{name};
  const mode_t mode = S_ISREG(from.st.st_mode) ? (from.st.st_mode & kPermissions) | kWhileCopying : 0666;
  const auto create = [&] {
    side.fd.reset(::open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode));
    side.created = static_cast<bool>(side.fd);
  };
  if (!name.ends_with('/')) create();  // most are new: no question before that
  struct stat there {};
  if (!side.fd && ::stat(name.c_str(), &there) == 0) {
    TRY(check_overwrite(there, name, from));
    side.fd.reset(::open(name.c_str(), O_WRONLY | O_CLOEXEC));
    const int code = errno;
    if (!side.fd && options_.force && ::unlink(name.c_str()) == 0)
      create();
    else if (!side.fd)
      return path_error(code, name);
  } else if (!side.fd && name.ends_with('/')) {
    return no_directory(name);
  } else if (!side.fd) {
    create();  // for its reason
  }
  // As cp(1): where that file would come to lie is seldom what was meant.
  if (std::error_code failed; !side.fd && errno == EEXIST && std::filesystem::is_symlink(name, failed))
    return fail(EEXIST, "not writing '" + from.name + "' through the dangling symbolic link '" + name + "'");
  if (!side.fd) return not_created(errno, name);
  TRY(look(side));
  made_.emplace(side.st.st_dev, side.st.st_ino);
  return side;
}

Result<void> FileCopier::check_overwrite(const struct stat& to, const std::string& name,
                                         const Side& from) const {
  const bool same = to.st_ino == from.st.st_ino && to.st_dev == from.st.st_dev;
  // Below files/ a mount shows files of the host under numbers of its own.
  const bool shown = (from.mount && from.st.st_ino >= kFirstShownInode) ||
                     (to.st_ino >= kFirstShownInode && mount_of_device(mounts_, to.st_dev));
  const bool shown_same = shown && to.st_dev != from.st.st_dev && same_shown_file(from.st, to);
  if (same || shown_same) return fail(EINVAL, "'" + from.name + "' and '" + name + "' are the same file");
  if (made_.count({to.st_dev, to.st_ino}) != 0 && S_ISREG(to.st_mode))
    return fail(EEXIST, name + ": made by this very command; not overwriting it with '" + from.name + "'");
  return {};
}

Result<void> FileCopier::copy(const std::string& from_name, const std::string& to_name, CopyTally& tally) {
  signal_ = 0;
  auto from = TRY(open_source(from_name));
  auto to = open_destination(to_name, from);
  if (!to) return pass(std::move(to));
  CopyTally mine;
  auto moved = move(from, *to, mine);
  tally.add(mine);
  if (!moved && moved.error().code == ETIMEDOUT) {
    // To look at it or to close it is a request, which the daemon would not answer: the error goes first.
    (void)from.fd.release();
    (void)to->fd.release();
    return moved;
  }
  if (!moved && to->created && mine.bytes == 0) take_back(*to);
  if (!moved) return moved;
  return finish(from, *to);
}

/// A new file in which nothing was stored: as if it had never been made, unless the name is another's by now.
void FileCopier::take_back(Side& side) {
  struct stat there {};
  const bool same = ::lstat(side.name.c_str(), &there) == 0 && there.st_dev == side.st.st_dev &&
                    there.st_ino == side.st.st_ino;
  side.fd.reset();
  if (!same || ::unlink(side.name.c_str()) != 0) return;
  made_.erase({side.st.st_dev, side.st.st_ino});
}

Json FileCopier::about(const Side& side) {
  const auto client = side.mount ? clients_.of(*side.mount) : Result<ControlClient*>(nullptr);
  const auto ticket = client && *client ? ticket_of(side.fd.get(), side.name) : Result<std::string>("");
  if (!ticket || ticket->empty()) return {};
  const auto answer = (*client)->request({{"op", "info"}, {"file", {{"ticket", *ticket}}}}, {}, {});
  return answer ? answer->body.value("info", Json()) : Json();
}

/// Whether the bytes can go there is known before the old ones are lost: memory that somebody else holds,
/// too, is zeroed when its file is emptied.
Result<void> FileCopier::check_room(const Side& from, const Side& to) {
  if (!to.mount || !S_ISREG(to.st.st_mode) || to.st.st_size == 0) return {};
  const Json there = about(to);
  if (!flag_of(there, "held_elsewhere")) return {};
  const auto inode = number_of(there, "inode");
  if (inode && number_of(about(from), "inode") == inode)
    return fail(EINVAL, "'" + from.name + "' and '" + to.name + "' are the same dma-buf");
  // What was imported never changes its size: that is told where it is cut.
  const uint64_t capacity = number_of(there, "capacity").value_or(0);
  if (text_of(there, "kind") == "import" || capacity >= static_cast<uint64_t>(from.st.st_size)) return {};
  return fail(EBUSY, to.name + ": its memory is in use elsewhere and holds only " + std::to_string(capacity) +
                         " bytes");
}

Result<void> FileCopier::empty(Side& side, const Side& from) {
  if (!S_ISREG(side.st.st_mode) || side.st.st_size == 0 || ::ftruncate(side.fd.get(), 0) == 0) return {};
  // An imported dma-buf keeps its size: what has the same comes to lie over it.
  if (errno == EPERM && side.mount && side.st.st_size == from.st.st_size) return {};
  return path_error(errno, side.name);
}

Result<void> FileCopier::move(Side& from, Side& to, CopyTally& tally) {
  const MountEntry* mount = to.mount ? to.mount : from.mount;
  // A size of 0 may be a file that does not tell it (/proc): read(2) knows.
  const bool for_daemon =
      mount && from.has_ranges() && to.has_ranges() && (from.st.st_size > 0 || S_ISBLK(from.st.st_mode));
  if (options_.require_direct && !for_daemon && !(S_ISREG(from.st.st_mode) && S_ISREG(to.st.st_mode)))
    return fail(EIO, "'" + from.name + "' -> '" + to.name + "': can't be copied directly (--require-direct)");
  if (for_daemon) {
    TRY(check_direct(*mount, from, to));
  }
  TRY(check_room(from, to));
  TRY(empty(to, from));
  if (!for_daemon) return by_itself(from, to, tally);
  if (!worth_asking(from, to)) {
    auto copied = by_itself(from, to, tally);
    if (copied) tally.add_reason({"buffered", "a small file", static_cast<uint64_t>(from.st.st_size)});
    if (copied || copied.error().code != EIO) return copied;
    // Why a buffer can't be written the daemon says, when it is asked.
    auto told = through_daemon(*mount, from, to, tally);
    return told && !*told ? copied : pass(std::move(told));
  }
  auto done = TRY(through_daemon(*mount, from, to, tally));
  if (done) return {};
  return by_itself(from, to, tally);
}

/// Of a small new file the bytes are written before the daemon has been asked to fetch them. What tells of a
/// picture goes by the daemon, which remembers.
bool FileCopier::worth_asking(const Side& from, const Side& to) const {
  constexpr uint64_t kSmall = 64 * kKiB;
  const auto size = static_cast<uint64_t>(from.st.st_size);
  return options_.require_direct || !to.created || !S_ISREG(from.st.st_mode) || size > kSmall ||
         guess_from(from.name, size);
}

Result<Json> FileCopier::end_for(const MountEntry& mount, const Side& side, Passed& passed) {
  if (side.mount == &mount) {
    auto ticket = TRY(ticket_of(side.fd.get(), side.name));
    return Json{{"ticket", std::move(ticket)}};
  }
  const int mode = ::fcntl(side.fd.get(), F_GETFL) & O_ACCMODE;
  UniqueFd fd(::fcntl(side.fd.get(), F_DUPFD_CLOEXEC, 0));
  if (!fd) return path_error(errno, side.name);
  Json end{{"fd", passed.add(std::move(fd))}, {"name", side.name.substr(0, 4096)}};
  if (UniqueFd direct = open_direct(side.fd.get(), mode)) end["direct_fd"] = passed.add(std::move(direct));
  return end;
}

Result<Message> FileCopier::ask(const MountEntry& mount, const Side& from, const Side& to, Json request,
                                const Waiting& waiting) {
  auto client = clients_.of(mount);
  if (!client) return pass(std::move(client));
  Passed passed;
  auto from_end = TRY(end_for(mount, from, passed));
  auto to_end = TRY(end_for(mount, to, passed));
  request["op"] = "copy";
  request["from"] = from_end;
  request["to"] = to_end;
  request["require_direct"] = options_.require_direct;
  auto answer = (*client)->request(request, passed.fds, waiting);
  if (answer || answer.error().code != EPIPE) return answer;
  // Closed since the last file: the daemon drops clients that are silent for long.
  clients_.drop(mount);
  client = clients_.of(mount);
  if (!client) return pass(std::move(client));
  return (*client)->request(request, passed.fds, waiting);
}

/// Whether what the daemon does not do is read and written instead, as cp(1) does. EIO is also what
/// --require-direct refuses with; ETIMEDOUT: the mount would not answer a read(2) either.
bool FileCopier::goes_otherwise(int code) const {
  return !options_.require_direct && code != EIO && code != EINTR && code != ETIMEDOUT;
}

/// Whether a direct transfer is required and would be refused, asked with a copy of no bytes: before an
/// existing destination loses its content.
Result<void> FileCopier::check_direct(const MountEntry& mount, const Side& from, const Side& to) {
  if (to.created || to.st.st_size == 0) return {};
  auto answer = ask(mount, from, to, {{"length", 0}}, Waiting{});
  if (!answer && goes_otherwise(answer.error().code)) return {};
  if (!answer) return fail(answer.error().code, to.name + ": " + answer.error().message);
  if (flag_of(answer->body, "ok")) return {};
  const Error error = error_of(answer->body);
  // EINVAL: the same file by two names, which must not be emptied.
  if (goes_otherwise(error.code) && error.code != EINVAL) return {};
  return fail(error.code, "'" + from.name + "' -> '" + to.name + "': " + error.message);
}

/// False: the daemon does not transfer this file, but it can be read and written.
Result<bool> FileCopier::through_daemon(const MountEntry& mount, const Side& from, const Side& to,
                                        CopyTally& tally) {
  Progress line(escape_name(to.name), options_.progress);
  Interrupt interrupt;
  const Waiting waiting{interrupt.fd(), [&line](uint64_t done, uint64_t total) { line.show(done, total); }};
  Json request{{"progress", true}};
  const uint64_t most = S_ISREG(to.st.st_mode) ? file_size_limit() : UINT64_MAX;
  if (most != UINT64_MAX) request["length"] = most;
  auto answer = ask(mount, from, to, std::move(request), waiting);
  signal_ = interrupt.take();
  if (signal_ == 0 && !answer && answer.error().code == EINTR) signal_ = SIGINT;
  const auto instead = [&](const std::string& why) {
    tally.refusal = why;
    // One reason for all files of a kind: without the name that it begins with.
    std::string reason = why;
    for (const Side* side : {&from, &to})
      if (why.starts_with(side->name + ": ")) reason = why.substr(side->name.size() + 2);
    tally.add_reason({"buffered", reason, static_cast<uint64_t>(from.st.st_size)});
    return false;
  };
  if (!answer && goes_otherwise(answer.error().code)) return instead(answer.error().message);
  if (!answer) return fail(answer.error().code, to.name + ": " + answer.error().message);
  const Json& reply = answer->body;
  tally.add_reply(reply);
  char more = 0;
  if (flag_of(reply, "ok") && tally.bytes == most &&
      ::pread(from.fd.get(), &more, 1, static_cast<off_t>(most)) > 0)
    return too_large(from, to);
  if (flag_of(reply, "ok")) return true;
  const Error error = error_of(reply);
  // With "bytes" it had begun: then only what the daemon may not do is no error of the files'.
  const bool begun =
      reply.contains("bytes") && error.code != EOPNOTSUPP && error.code != EACCES && error.code != EPERM;
  if (!begun && tally.bytes == 0 && goes_otherwise(error.code)) return instead(error.message);
  return fail(error.code, "'" + from.name + "' -> '" + to.name + "': " + error.message);
}

Result<void> FileCopier::by_itself(const Side& from, const Side& to, CopyTally& tally) {
  Progress line(escape_name(to.name), options_.progress);
  Interrupt interrupt;
  const auto total = static_cast<uint64_t>(from.st.st_size);
  LocalCopy copy{from.fd.get(), to.fd.get(), options_.require_direct,
                 [&] {
                   if (signal_ == 0) signal_ = interrupt.take();
                   return signal_ != 0;
                 },
                 [&](uint64_t done) { line.show(done, total); }};
  LocalBytes moved;
  auto done = copy_locally(copy, moved);
  // From one mount to another the kernel reads and writes, by way of the page cache.
  const bool between = from.mount != to.mount;
  tally.add_path(between ? "buffered" : "file-copy", moved.file_copy);
  tally.add_path("buffered", moved.buffered);
  tally.bytes += moved.file_copy + moved.buffered;
  if (!done && done.error().code == EFBIG && file_size_limit() != UINT64_MAX) return too_large(from, to);
  for (const Side* side : {&to, &from})
    if (!done && is_of_dead_daemon(done.error().code) && has_dead_daemon(side->name))
      return path_error(done.error().code, side->name);
  if (!done)
    return fail(done.error().code, "'" + from.name + "' -> '" + to.name + "': " + done.error().message);
  return {};
}

Failure FileCopier::too_large(const Side& from, const Side& to) {
  return fail(EFBIG, "'" + from.name + "' -> '" + to.name + "': File too large; no more than " +
                         size_text(file_size_limit()) + " may be written to a file here (ulimit -f)");
}

Result<void> FileCopier::finish(const Side& from, Side& to) {
  const int fd = to.fd.get();
  if (to.mount) {
    // The kernel may go on believing the size from before the daemon's transfer: make it ask.
    struct statx st {};
    (void)::statx(fd, "", AT_EMPTY_PATH | AT_STATX_FORCE_SYNC, STATX_BASIC_STATS, &st);
  }
  if (options_.preserve && S_ISREG(to.st.st_mode)) {
    const std::array<timespec, 2> times{from.st.st_atim, from.st.st_mtim};
    if (::fchmod(fd, mode_after_chown(fd, from.st)) != 0 || ::futimens(fd, times.data()) != 0)
      return path_error(errno, to.name);
  } else if (to.created && S_ISREG(from.st.st_mode) && (from.st.st_mode & kWhileCopying) != kWhileCopying) {
    if (::fchmod(fd, from.st.st_mode & kPermissions & ~current_umask()) != 0)
      return path_error(errno, to.name);
  }
  // What close(2) reports is the last chance to hear that something was not stored.
  if (::close(to.fd.release()) != 0) return path_error(errno, to.name);
  return {};
}

void CopyTally::add_path(const std::string& path, uint64_t count) {
  if (count > 0) paths[path] += count;
}

void CopyTally::add_reason(const Why& reason) {
  for (Why& known : reasons) {
    if (known.path != reason.path || known.why != reason.why) continue;
    known.bytes += reason.bytes;
    return;
  }
  reasons.push_back(reason);
}

void CopyTally::add_reply(const Json& reply) {
  bytes += number_of(reply, "bytes").value_or(0);
  if (const auto found = reply.find("paths"); found != reply.end() && found->is_object())
    for (const auto& [path, count] : found->items())
      add_path(path, number_of(*found, path.c_str()).value_or(0));
  if (const auto found = reply.find("reasons"); found != reply.end() && found->is_array())
    for (const Json& reason : *found)
      if (reason.is_object())
        add_reason({text_of(reason, "path").value_or(""), text_of(reason, "why").value_or(""),
                    number_of(reason, "bytes").value_or(0)});
}

void CopyTally::add(const CopyTally& other) {
  bytes += other.bytes;
  for (const auto& [path, count] : other.paths) add_path(path, count);
  for (const Why& reason : other.reasons) add_reason(reason);
  if (!other.refusal.empty()) refusal = other.refusal;
}

}  // namespace dmabuffs::cli
