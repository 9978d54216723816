// SPDX-License-Identifier: MIT
/// `dmabuffs exec [NAME=]PATH... -- COMMAND`: runs COMMAND with the memory of buffers as its descriptors 3,
/// 4, ...
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <sstream>

#include "dmabuffs/base/unique_fd.h"
#include "dmabuffs/cli/commands.h"
#include "dmabuffs/control/dmabuffs.h"
#include "dmabuffs/control/way.h"

namespace dmabuffs::cli {

namespace {

constexpr int kFirst = 3;  // SD_LISTEN_FDS_START

struct Named {
  std::string name, path;
};

/// A '=' before the first '/' ends a name. Without one it is that of the file, as far as sd_listen_fds(3)
/// lets it be.
Named named(const std::string& word) {
  const size_t equals = word.find('=');
  if (equals != 0 && equals < word.find('/')) return {word.substr(0, equals), word.substr(equals + 1)};
  Named made{std::filesystem::path(word).filename(), word};
  for (char& c : made.name)
    if (c == ':' || static_cast<unsigned char>(c) < ' ') c = '_';
  return made;
}

Result<UniqueFd> open_buffer(const std::string& path, const ExecSettings& settings) {
  if (!lies_in_mount(path))
    return fail(
        ENODEV,
        path + ": not in a dmabuffs mount; the words before -- name buffers: files below a mount's heaps/");
  dmabuffs_info info{};
  const unsigned flags =
      (settings.require_dmabuf ? DMABUFFS_REQUIRE_DMABUF : 0) | (settings.huge ? DMABUFFS_HUGE : 0);
  UniqueFd fd(dmabuffs_open(path.c_str(), flags, &info));
  if (!fd) return fail(errno, dmabuffs_error());
  if ((info.flags & DMABUFFS_IS_DMABUF) == 0)
    report("exec: " + path + ": handed over as a memfd, which programs can use and devices can't import");
  if ((info.flags & DMABUFFS_IS_MOVED) != 0)
    report(
        "exec: " + path +
        ": moved to 4 KiB pages, as this kernel shows importers wrong bytes of huge ones; --huge leaves it");
  return fd;
}

/// As execvp(3) would find it.
bool can_be_run(const std::string& word) {
  const auto is_program = [](const std::string& file) {
    std::error_code failed;
    return ::access(file.c_str(), X_OK) == 0 && std::filesystem::is_regular_file(file, failed);
  };
  if (word.find('/') != std::string::npos) return is_program(word);
  const char* path = std::getenv("PATH");
  std::istringstream directories(path != nullptr ? path : "/bin:/usr/bin");
  for (std::string directory; std::getline(directories, directory, ':');)
    if (is_program((directory.empty() ? "." : directory) + "/" + word)) return true;
  return false;
}

}  // namespace

bool names_buffer(const std::string& word) {
  return lies_in_mount(named(word).path) || !can_be_run(word);
}

int run_exec_with_buffers(const ExecSettings& settings, std::vector<std::string> command) {
  if (settings.buffers.empty()) return misuse("exec", "--fd: no buffer; name files below a mount's heaps/");
  if (!settings.files.empty() || !settings.heaps.empty() || !settings.heaps_if_present.empty() ||
      !settings.options.empty())
    return misuse("exec", "--files, --heap and -o are for a private mount; with buffers none is made");
  std::vector<UniqueFd> fds;
  std::string names;
  for (const std::string& word : settings.buffers) {
    const Named buffer = named(word);
    if (buffer.name.find(':') != std::string::npos)
      return misuse("exec",
                    "'" + buffer.name + "': a name can't hold ':', which parts names in $LISTEN_FDNAMES");
    auto fd = open_buffer(buffer.path, settings);
    if (!fd) return report("exec: " + fd.error().message);
    fds.push_back(std::move(*fd));
    names += (names.empty() ? "" : ":") + buffer.name;
  }
  // All are moved away first, so that none is in another's place.
  const int count = static_cast<int>(fds.size());
  for (UniqueFd& fd : fds) {
    fd.reset(::fcntl(fd.get(), F_DUPFD_CLOEXEC, kFirst + count));
    if (!fd) return report(std::string("exec: ") + std::strerror(errno));
  }
  for (int i = 0; i < count; ++i)
    if (::dup2(fds[static_cast<size_t>(i)].get(), kFirst + i) < 0)
      return report(std::string("exec: ") + std::strerror(errno));
  ::setenv("LISTEN_FDS", std::to_string(count).c_str(), 1);
  ::setenv("LISTEN_PID", std::to_string(::getpid()).c_str(), 1);
  ::setenv("LISTEN_FDNAMES", names.c_str(), 1);
  return execute(command);
}

}  // namespace dmabuffs::cli
