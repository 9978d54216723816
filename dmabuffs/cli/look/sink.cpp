// SPDX-License-Identifier: MIT
#include "dmabuffs/cli/look/sink.h"

#include <sys/stat.h>

#include <array>
#include <climits>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "dmabuffs/base/io.h"

namespace dmabuffs::cli {

namespace {

constexpr std::array kDeadly{SIGHUP, SIGINT, SIGQUIT, SIGPIPE, SIGTERM, SIGXFSZ};

/// The name that a signal takes away. A handler may not look at a std::string.
std::array<char, PATH_MAX> g_unfinished{};

void take_away(int signal) {
  ::unlink(g_unfinished.data());
  // It is blocked until this returns, and then ends the process as if it had never been caught.
  ::signal(signal, SIG_DFL);
  ::raise(signal);
}

void guard(const std::string& unfinished) {
  unfinished.copy(g_unfinished.data(), g_unfinished.size() - 1);
  for (const int signal : kDeadly) {
    struct sigaction now {};
    // nohup and shells with background jobs rely on "ignored".
    if (::sigaction(signal, nullptr, &now) == 0 && now.sa_handler == SIG_DFL) ::signal(signal, take_away);
  }
}

void end_guard() {
  for (const int signal : kDeadly) {
    struct sigaction now {};
    if (::sigaction(signal, nullptr, &now) == 0 && now.sa_handler == take_away) ::signal(signal, SIG_DFL);
  }
  g_unfinished.fill(0);
}

mode_t usual_mode() {
  const mode_t mask = ::umask(0);
  ::umask(mask);
  return 0666 & ~mask;
}

}  // namespace

Result<void> write_all(int fd, std::span<const std::byte> bytes, const std::string& name) {
  while (!bytes.empty()) {
    const ssize_t written = again([&] { return ::write(fd, bytes.data(), bytes.size()); });
    if (written < 0) return fail_errno(errno, name);
    bytes = bytes.subspan(static_cast<size_t>(written));
  }
  return {};
}

Result<WholeFile> WholeFile::create(const std::string& path) {
  WholeFile file;
  file.path_ = path == "-" ? "standard output" : path;
  if (path == "-") {
    file.fd_.reset(::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0));
    if (!file.fd_) return fail_errno(errno, file.path_);
    return file;
  }
  struct stat st {};
  const bool there = ::stat(path.c_str(), &st) == 0;
  if (there && S_ISDIR(st.st_mode)) return fail(EISDIR, path + ": a directory; name a file in it");
  if (there && !S_ISREG(st.st_mode)) {
    file.fd_.reset(again([&] { return ::open(path.c_str(), O_WRONLY | O_CLOEXEC | O_NOCTTY); }));
    if (!file.fd_) return fail_errno(errno, path);
    return file;
  }
  if (there && ::access(path.c_str(), W_OK) != 0) return fail_errno(errno, path);
  // As cp(1): where that file would come to lie is seldom what was meant.
  if (std::error_code failed; !there && std::filesystem::is_symlink(path, failed))
    return fail(EEXIST, path + ": not writing through a dangling symbolic link");
  // A link stays one.
  std::error_code ignored;
  if (there) file.path_ = std::filesystem::canonical(path, ignored).string();
  if (file.path_.empty()) file.path_ = path;
  file.unfinished_ = file.path_ + ".XXXXXX";
  if (file.unfinished_.size() >= PATH_MAX) return fail_errno(ENAMETOOLONG, path);
  file.fd_.reset(::mkostemp(file.unfinished_.data(), O_CLOEXEC));
  if (!file.fd_) {
    const int code = errno;
    file.unfinished_.clear();
    if (code == EACCES || code == EROFS)
      return fail(code,
                  path + ": no file can be made beside it, where it is written before it takes that name: " +
                      std::strerror(code) + "; make its directory writable or name another");
    return fail_errno(code, path);
  }
  guard(file.unfinished_);
  (void)::fchmod(file.fd_.get(), there ? st.st_mode & 0777 : usual_mode());
  return file;
}

WholeFile::WholeFile(WholeFile&& other) noexcept
    : path_(std::move(other.path_)),
      unfinished_(std::exchange(other.unfinished_, {})),
      fd_(std::move(other.fd_)) {}

WholeFile::~WholeFile() {
  if (unfinished_.empty()) return;
  ::unlink(unfinished_.c_str());
  end_guard();
}

Result<void> WholeFile::write(std::span<const std::byte> bytes) {
  return write_all(fd_.get(), bytes, path_);
}

Result<void> WholeFile::finish() {
  // Some file systems tell of a full disk only now.
  if (::close(fd_.release()) != 0) return fail_errno(errno, path_);
  if (unfinished_.empty()) return {};
  if (::rename(unfinished_.c_str(), path_.c_str()) != 0) return fail_errno(errno, path_);
  unfinished_.clear();
  end_guard();
  return {};
}

}  // namespace dmabuffs::cli
