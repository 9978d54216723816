// SPDX-License-Identifier: MIT
/// `dmabuffs cp SRC... DST`: cp that moves bytes by direct I/O when a side lies in a mount, from wherever it
/// is called.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <set>
#include <tuple>

#include "dmabuffs/cli/commands.h"
#include "dmabuffs/cli/cp/file.h"
#include "dmabuffs/cli/output.h"
#include "dmabuffs/control/hand_out.h"
#include "dmabuffs/control/way.h"
#include "dmabuffs/heap/message.h"

namespace dmabuffs::cli {

namespace {

namespace fs = std::filesystem;

class Cp {
 public:
  Cp(const CpOptions& options, std::vector<MountEntry> mounts)
      : options_(options), copier_(options.copy, std::move(mounts)) {}

  int run();

 private:
  Result<void> check_picture(const std::string& from, const std::string& to) const;
  void copy_given(const std::string& from, const std::string& to);
  void copy_one(const std::string& from, const std::string& to);
  void copy_file(const std::string& from, const std::string& to);
  void copy_directory(const std::string& from, const std::string& to, const struct stat& st);
  void copy_link(const std::string& from, const std::string& to);
  void trouble(const Error& error);
  void trouble(const std::string& message) { trouble(Error{EINVAL, message}); }
  /// A signal came, or the destination's daemon has died: no file after this one can be copied.
  [[nodiscard]] bool ends() const { return copier_.signal() != 0 || daemon_died_; }
  void print_file(const std::string& from, const std::string& to, const CopyTally& tally) const;
  void print_json(double seconds) const;

  [[nodiscard]] int look(const std::string& from, struct stat& st) const {
    return options_.recursive ? ::lstat(from.c_str(), &st) : ::stat(from.c_str(), &st);
  }

  const CpOptions& options_;
  FileCopier copier_;
  Clients clients_;
  CopyTally tally_;
  std::set<std::tuple<dev_t, ino_t, std::string>> given_;  ///< sources of the command line, and where to
  uint64_t files_ = 0;
  bool daemon_died_ = false;
  std::vector<std::string> errors_;
};

bool is_directory(const std::string& path) {
  struct stat st {};
  return ::stat(path.c_str(), &st) == 0 && S_ISDIR(st.st_mode);
}

Failure no_target(const std::string& path) {
  struct stat st {};
  if (::stat(path.c_str(), &st) == 0) return fail(ENOTDIR, "target '" + path + "': not a directory");
  if (errno != ENOENT) return path_error(errno, path);
  return fail(ENOENT, "target '" + path + "': " + why_missing(path, "no such directory; make it with mkdir"));
}

std::string last_name(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  const std::string name = path.substr(path.rfind('/') + 1);
  // What SRC/.. names goes into the target itself, not beside it.
  return name == ".." ? "." : name;
}

bool same_inode(const struct stat& a, const struct stat& b) {
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

/// Makes the symbolic link `to`; what has that name already is replaced in one step, so that it is never
/// missing, and stays where a link can't be made (in a heap).
Result<void> make_link(const std::string& target, const std::string& to) {
  if (::symlink(target.c_str(), to.c_str()) == 0) return {};
  if (errno != EEXIST) return fail_errno(errno, to + ": can't make this symbolic link");
  struct stat there {};
  if (::lstat(to.c_str(), &there) == 0 && S_ISDIR(there.st_mode))
    return fail(EISDIR, to + ": a directory; not overwriting it with a symbolic link");
  const std::string aside = to.substr(0, to.rfind('/') + 1) + ".dmabuffs-cp-" + std::to_string(::getpid());
  if (::symlink(target.c_str(), aside.c_str()) != 0 || ::rename(aside.c_str(), to.c_str()) != 0) {
    const int code = errno;
    ::unlink(aside.c_str());
    return fail_errno(code, to + ": can't make this symbolic link");
  }
  return {};
}

/// Owner, mode and times, as cp -p gives them to a directory once it is full.
Result<void> preserve_directory(const std::string& path, const struct stat& from) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd) return path_error(errno, path);
  const std::array<timespec, 2> times{from.st_atim, from.st_mtim};
  if (::fchmod(fd.get(), mode_after_chown(fd.get(), from)) != 0 || ::futimens(fd.get(), times.data()) != 0)
    return path_error(errno, path);
  return {};
}

void Cp::trouble(const Error& error) {
  daemon_died_ |= error.code == ENOTCONN && has_dead_daemon(options_.paths.back());
  // Who pressed Ctrl-C knows.
  if (copier_.signal() == 0) report("cp: " + error.message);
  errors_.push_back(error.message);
}

void Cp::print_file(const std::string& from, const std::string& to, const CopyTally& tally) const {
  std::string how;
  for (const auto& [path, count] : tally.paths) {
    if (!how.empty()) how += ", ";
    how += tally.paths.size() == 1 ? path : path + " " + size_text(count);
  }
  std::printf("%s -> %s (%s)\n", escape_name(from).c_str(), escape_name(to).c_str(),
              how.empty() ? "empty" : how.c_str());
  if (!tally.refusal.empty()) std::printf("  read and written: %s\n", escape_controls(tally.refusal).c_str());
}

/// Before a byte moves: whether that picture is in the source, and the destination can remember it.
Result<void> Cp::check_picture(const std::string& from, const std::string& to) const {
  if (options_.picture.empty()) return {};
  const auto picture = TRY(image::make_picture(options_.picture, image::Padding::None));
  struct stat st {};
  if (::stat(from.c_str(), &st) == 0 && S_ISREG(st.st_mode))
    if (auto fits = image::check_fits(picture, static_cast<uint64_t>(st.st_size)); !fits)
      return fail(fits.error().code, from + ": " + fits.error().message);
  if (!lies_in_mount(to)) return fail(EINVAL, to + ": not in a mount; only a buffer remembers its format");
  return {};
}

void Cp::copy_file(const std::string& from, const std::string& to) {
  if (const auto fits = check_picture(from, to); !fits) return trouble(fits.error());
  CopyTally tally;
  const auto copied = copier_.copy(from, to, tally);
  tally_.add(tally);
  if (!copied) return trouble(copied.error());
  if (!options_.picture.empty())
    if (const auto said = set_format(clients_, to, image::to_text(options_.picture)); !said)
      return trouble(said.error());
  ++files_;
  if (options_.verbose && !options_.json) print_file(from, to, tally);
}

void Cp::copy_link(const std::string& from, const std::string& to) {
  std::error_code failed;
  const fs::path target = fs::read_symlink(from, failed);
  if (failed) return trouble(from + ": " + failed.message());
  struct stat behind {
  }, there{};
  if (::stat(from.c_str(), &behind) == 0 && ::lstat(to.c_str(), &there) == 0 && same_inode(behind, there))
    return trouble("'" + from + "' and '" + to + "' are the same file");
  if (auto made = make_link(target, to); !made) trouble(made.error());
}

void Cp::copy_directory(const std::string& from, const std::string& to, const struct stat& st) {
  std::error_code failed;
  const std::string inner = fs::weakly_canonical(to, failed).string() + "/";
  const std::string outer = fs::weakly_canonical(from, failed).string() + "/";
  if (inner.rfind(outer, 0) == 0) return trouble("'" + from + "': can't be copied into itself, '" + to + "'");
  const bool made = ::mkdir(to.c_str(), (st.st_mode & 0777) | 0700) == 0;
  if (!made && errno != EEXIST) return trouble(not_created(errno, to).value());
  struct stat there {};
  // A symbolic link to a directory is none: what is copied would land wherever it leads.
  if (::lstat(to.c_str(), &there) != 0) return trouble(path_error(errno, to).value());
  if (!S_ISDIR(there.st_mode))
    return trouble(to + ": no directory; not overwriting it with the directory '" + from + "'");
  std::vector<std::string> names;
  for (fs::directory_iterator entry(from, failed), end; !failed && entry != end; entry.increment(failed))
    names.push_back(entry->path().filename().string());
  if (failed) trouble(from + ": " + failed.message());
  std::sort(names.begin(), names.end());
  for (const std::string& name : names) {
    if (ends()) return;
    copy_one(fs::path(from) / name, fs::path(to) / name);
  }
  // Only now may a directory become one that its owner can't write.
  if (options_.copy.preserve) {
    if (auto kept = preserve_directory(to, st); !kept) trouble(kept.error());
  } else if (made && (st.st_mode & 0700) != 0700)
    (void)::chmod(to.c_str(), st.st_mode & there.st_mode & 0777);
}

/// As cp(1): what is named twice is copied once.
void Cp::copy_given(const std::string& from, const std::string& to) {
  struct stat st {};
  if (look(from, st) == 0 && !given_.emplace(st.st_dev, st.st_ino, to).second)
    report("cp: warning: source '" + from + "' specified more than once");
  else
    copy_one(from, to);
}

void Cp::copy_one(const std::string& from, const std::string& to) {
  struct stat st {};
  if (look(from, st) != 0) {
    Error error = path_error(errno, from).value();
    if (from == "-") error.message += "; standard input is /dev/stdin";
    return trouble(error);
  }
  if (S_ISDIR(st.st_mode) && !options_.recursive)
    return trouble("-r not given; omitting directory '" + from + "'");
  if (S_ISDIR(st.st_mode)) return copy_directory(from, to, st);
  if (S_ISLNK(st.st_mode)) return copy_link(from, to);
  if (options_.recursive && !S_ISREG(st.st_mode))
    return trouble(from + ": neither file nor directory; left out");
  copy_file(from, to);
}

void Cp::print_json(double seconds) const {
  Json json{{"files", files_},         {"bytes", tally_.bytes},    {"seconds", seconds},
            {"paths", Json::object()}, {"reasons", Json::array()}, {"errors", errors_}};
  for (const auto& [path, count] : tally_.paths) json["paths"][path] = count;
  for (const auto& reason : tally_.reasons)
    json["reasons"].push_back({{"path", reason.path}, {"why", reason.why}, {"bytes", reason.bytes}});
  std::printf("%s\n", to_text(json, 2).c_str());
}

int Cp::run() {
  using Clock = std::chrono::steady_clock;
  const auto start = Clock::now();
  const std::string& target = options_.paths.back();
  const bool into = is_directory(target);
  if (options_.paths.size() > 2 && !into) {
    trouble(no_target(target).value());
  } else {
    for (auto source = options_.paths.begin(); source + 1 != options_.paths.end() && !ends(); ++source)
      copy_given(*source, into ? target + (target.back() == '/' ? "" : "/") + last_name(*source) : target);
  }
  if (options_.json) print_json(std::chrono::duration<double>(Clock::now() - start).count());
  if (copier_.signal() != 0) return die_by(copier_.signal());
  return errors_.empty() ? 0 : 1;
}

}  // namespace

int run_cp(const CpOptions& options) {
  if (options.paths.size() < 2) return misuse("cp", "no destination behind '" + options.paths.front() + "'");
  if (!options.picture.empty())
    if (const auto picture = image::make_picture(options.picture, image::Padding::None); !picture)
      return misuse("cp", picture.error().message);
  auto mounts = dmabuffs_mounts();
  if (!mounts) return report(mounts.error().message);
  for (const std::string& path : options.paths)
    if (auto answers = check_answers(path); !answers) return report("cp: " + answers.error().message);
  std::signal(SIGXFSZ, SIG_IGN);  // ulimit -f: an error that names the file instead of death
  return Cp(options, std::move(*mounts)).run();
}

}  // namespace dmabuffs::cli
