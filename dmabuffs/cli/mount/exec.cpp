// SPDX-License-Identifier: MIT
/// `dmabuffs exec -- COMMAND`: runs COMMAND with a mount of its own, in $DMABUFFS_MOUNT.
#include <poll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <optional>

#include "dmabuffs/cli/commands.h"
#include "dmabuffs/cli/mount/private_mount.h"
#include "dmabuffs/control/way.h"

namespace dmabuffs::cli {
namespace {

constexpr int kNotExecutable = 126, kNotFound = 127;

/// As `mount` takes them.
std::vector<std::string> mount_arguments(const ExecSettings& settings) {
  // The namespace ends with us, so fusermount3, which could not enter it, has nothing to watch.
  std::vector<std::string> words = {"-o", "private,no_auto_unmount"};
  const auto add = [&words](const char* option, const std::vector<std::string>& values) {
    for (const std::string& value : values) words.insert(words.end(), {option, value});
  };
  add("--files", settings.files);
  add("--heap", settings.heaps);
  add("--heap-if-present", settings.heaps_if_present);
  add("-o", settings.options);
  if (settings.require_direct) words.emplace_back("--require-direct");
  return words;
}

/// The signals that are meant for the command; blocked here and read from fd(). Children call restore().
class SignalReader {
 public:
  static Result<SignalReader> make() {
    SignalReader reader;
    sigset_t set;
    sigemptyset(&set);
    for (int number : {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2}) sigaddset(&set, number);
    ::sigprocmask(SIG_BLOCK, &set, &reader.before_);
    reader.fd_.reset(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!reader.fd_) return fail_errno(errno, "signalfd");
    return reader;
  }
  [[nodiscard]] int fd() const { return fd_.get(); }
  void restore() const { ::sigprocmask(SIG_SETMASK, &before_, nullptr); }
  [[nodiscard]] std::optional<signalfd_siginfo> next() const {
    signalfd_siginfo info{};
    if (::read(fd(), &info, sizeof info) != sizeof info) return std::nullopt;
    return info;
  }

 private:
  UniqueFd fd_;
  sigset_t before_{};
};

/// Waits until the mount is usable. Otherwise the exit status: the daemon's, or 128 + the signal that came
/// meanwhile.
std::optional<int> wait_until_ready(ChildProcess& daemon, const ReadySocket& ready,
                                    const SignalReader& signals, const std::string& mountpoint) {
  pollfd wait[] = {{ready.fd(), POLLIN, 0}, {daemon.pidfd(), POLLIN, 0}, {signals.fd(), POLLIN, 0}};
  for (;;) {
    if (::poll(wait, std::size(wait), -1) < 0) continue;
    if (wait[0].revents != 0 && ready.says_ready(daemon.pid())) return std::nullopt;
    if (wait[1].revents != 0) return std::max(1, shell_status(daemon.reap()));
    if (wait[2].revents == 0) continue;
    if (const auto info = signals.next()) {
      stop_daemon(daemon, mountpoint);
      return 128 + static_cast<int>(info->ssi_signo);
    }
  }
}

/// Until the command ends; returns its wait status.
int supervise(ChildProcess& command, const ChildProcess& daemon, const SignalReader& signals) {
  pollfd wait[] = {{command.pidfd(), POLLIN, 0}, {signals.fd(), POLLIN, 0}, {daemon.pidfd(), POLLIN, 0}};
  for (;;) {
    if (::poll(wait, std::size(wait), -1) < 0) continue;
    if (wait[0].revents != 0) return command.reap();
    while (const auto info = signals.next()) {
      // One that the kernel sent (Ctrl-C) has gone to the whole foreground group, the command included.
      if (info->ssi_code != SI_KERNEL) command.signal(static_cast<int>(info->ssi_signo));
    }
    if (wait[2].revents != 0) {
      report("exec: the private mount's daemon ended; its files can't be used any more");
      wait[2].fd = -1;
    }
  }
}

Result<int> run_with_mount(const ExecSettings& settings, std::vector<std::string>& words) {
  auto signals = TRY(SignalReader::make());
  auto scratch = TRY(ScratchDirectory::make());
  TRY(enter_private_namespace());
  auto ready = TRY(ReadySocket::make());

  auto daemon = start_daemon(mount_arguments(settings), scratch.path(), ready, [&] { signals.restore(); });
  if (!daemon) return pass(std::move(daemon));
  if (auto status = wait_until_ready(*daemon, ready, signals, scratch.path())) return *status;

  auto command = ChildProcess::start(SIGKILL, [&] {
    signals.restore();
    ::setenv("DMABUFFS_MOUNT", scratch.path().c_str(), 1);
    return execute(words);
  });
  if (!command) {
    stop_daemon(*daemon, scratch.path());
    return pass(std::move(command));
  }
  const int status = supervise(*command, *daemon, signals);
  stop_daemon(*daemon, scratch.path());
  if (WIFSIGNALED(status) && WTERMSIG(status) == SIGINT) return -SIGINT;
  return shell_status(status);
}

}  // namespace

int execute(std::vector<std::string>& command) {
  std::vector<char*> argv;
  argv.reserve(command.size() + 1);
  for (std::string& word : command) argv.push_back(word.data());
  argv.push_back(nullptr);
  ::execvp(argv[0], argv.data());
  const int code = errno;
  std::string why = code == ENOENT ? "not found" : std::strerror(code);
  // Nothing in a mount can be run: whoever types its name in a command's place means it to be handed over.
  if (code == EACCES && lies_in_mount(command[0]))
    why += "; to hand a buffer to a command: dmabuffs exec FILE -- COMMAND";
  report("exec: " + (command[0].empty() ? "''" : command[0]) + ": " + why);
  return code == ENOENT || code == ENOTDIR ? kNotFound : kNotExecutable;
}

int run_exec(const ExecSettings& settings, std::vector<std::string> command) {
  if (command.empty())
    return misuse("exec", std::string("no COMMAND; it stands last, as in: dmabuffs exec ") +
                              (settings.buffers.empty() ? "" : "FILE ") + "-- COMMAND");
  if (settings.fd || !settings.buffers.empty()) return run_exec_with_buffers(settings, std::move(command));
  auto status = run_with_mount(settings, command);
  if (!status) return report("exec: " + status.error().message);
  return *status < 0 ? die_by(-*status) : *status;
}

}  // namespace dmabuffs::cli
