// SPDX-License-Identifier: MIT
#include "dmabuffs/cli/bench/process.h"

#include <poll.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>

#include "dmabuffs/base/child_process.h"
#include "dmabuffs/base/io.h"
#include "dmabuffs/base/read_file.h"
#include "dmabuffs/control/message.h"

namespace dmabuffs::cli::bench {

namespace {

/// What is written to it is read when the writer has ended.
Result<UniqueFd> sink() {
  UniqueFd fd(::memfd_create("output", MFD_CLOEXEC));
  if (!fd) return fail_errno(errno, "memfd_create");
  return fd;
}
std::string text_in(const UniqueFd& sink) {
  return read_file("/proc/self/fd/" + std::to_string(sink.get())).value_or("");
}

/// posix_spawn(3), which unlike fork(2) does for a program of several threads; signals as they were given to
/// us.
Result<pid_t> start(std::vector<std::string>& words, int output, int errors) {
  std::vector<char*> argv;
  argv.reserve(words.size() + 1);
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t files;
  posix_spawnattr_t attributes;
  ::posix_spawn_file_actions_init(&files);
  ::posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_adddup2(&files, output, STDOUT_FILENO);
  ::posix_spawn_file_actions_adddup2(&files, errors, STDERR_FILENO);
  ::posix_spawnattr_init(&attributes);
  sigset_t none, usual;
  ::sigemptyset(&none);
  ::sigemptyset(&usual);
  ::sigaddset(&usual, SIGXFSZ);
  ::posix_spawnattr_setsigmask(&attributes, &none);
  ::posix_spawnattr_setsigdefault(&attributes, &usual);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  pid_t child = -1;
  const int code = ::posix_spawnp(&child, argv[0], &files, &attributes, argv.data(), environ);
  ::posix_spawn_file_actions_destroy(&files);
  ::posix_spawnattr_destroy(&attributes);
  if (code != 0) return fail_errno(code, words.front());
  return child;
}

/// Until it has ended, or somebody wants us to.
void wait_for(pid_t child, Stop& stop) {
  const UniqueFd ended(static_cast<int>(::syscall(SYS_pidfd_open, child, 0)));
  std::array<pollfd, 2> wait{{{ended.get(), POLLIN, 0}, {stop.fd(), POLLIN, 0}}};
  while (ended && wait[0].revents == 0) {
    (void)::poll(wait.data(), wait.size(), -1);
    if (wait[1].revents == 0 || !stop.asked()) continue;
    ::kill(child, SIGKILL);
    return;
  }
}

double seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

class ByFio final : public Attempt {
 public:
  ByFio(Direction direction, const BenchFile& file, Stop& stop)
      : direction_(direction), file_(file), stop_(stop) {}

  Result<void> move() override {
    std::string name = file_.path();
    for (size_t at = 0; (at = name.find_first_of(":\\", at)) != std::string::npos; at += 2)
      name.insert(at, "\\");
    std::vector<std::string> words{"fio",
                                   "--name=bench",
                                   "--filename=" + name,
                                   "--ioengine=io_uring",
                                   "--direct=1",
                                   "--bs=1M",
                                   "--iodepth=16",
                                   "--output-format=json",
                                   "--thread",
                                   "--allow_file_create=0",
                                   "--size=" + std::to_string(round_down(file_.size(), kPage))};
    words.push_back(std::string("--rw=") + to_string(direction_));
    if (direction_ == Direction::Write) words.insert(words.end(), {"--end_fsync=1", "--overwrite=1"});
    const auto ended = TRY(run_program(words, stop_));
    const auto start = ended.output.find('{');
    const Json json =
        Json::parse(start == std::string::npos ? "" : ended.output.substr(start), nullptr, false);
    const auto jobs = json.is_object() ? json.value("jobs", Json::array()) : Json::array();
    if (jobs.empty()) return fail(EIO, "fio: its output is not what is known of it");
    const Json& job = jobs.front();
    const Json& moved = job.at(to_string(direction_));
    if (moved.value("io_bytes", uint64_t{0}) < round_down(file_.size(), kMiB))
      return fail(EIO, "fio: moved less than asked");
    milliseconds_ = std::max(moved.value("runtime", 0.0), 1.0);
    cpu_ =
        (job.value("usr_cpu", 0.0) + job.value("sys_cpu", 0.0)) / 100 * job.value("job_runtime", 0.0) / 1e3;
    return {};
  }
  Result<void> get(uint64_t, std::span<std::byte>) override { return fail(EIO, "fio keeps nothing"); }
  Result<void> put(uint64_t, std::span<const std::byte>) override { return {}; }
  [[nodiscard]] double others_cpu() const override { return cpu_; }
  [[nodiscard]] std::optional<double> own_milliseconds() const override { return milliseconds_; }

 private:
  const Direction direction_;
  const BenchFile& file_;
  Stop& stop_;
  double milliseconds_ = 0, cpu_ = 0;
};

}  // namespace

bool Stop::asked() {
  if (signal_ == 0) signal_ = interrupt_.take();
  return signal_ != 0;
}

Result<Ended> run_program(std::vector<std::string> words, Stop& stop) {
  const auto output = TRY(sink()), errors = TRY(sink());
  const pid_t child = TRY(start(words, output.get(), errors.get()));
  wait_for(child, stop);
  int status = 0;
  rusage used{};
  (void)again([&] { return ::wait4(child, &status, 0, &used); });
  if (stop.asked()) return fail(EINTR, "interrupted");
  if (status == 0) return Ended{text_in(output), seconds(used.ru_utime) + seconds(used.ru_stime)};
  std::string said = text_in(errors) + text_in(output).substr(0, 200);
  if (const size_t line = said.find('\n'); line != std::string::npos) said.resize(line);
  return fail(EIO, words.front() + ": status " + std::to_string(shell_status(status)) +
                       (said.empty() ? "" : ": ") + said);
}

std::unique_ptr<Attempt> by_fio(Direction direction, const BenchFile& file, Stop& stop) {
  return std::make_unique<ByFio>(direction, file, stop);
}

std::string fio_version(Stop& stop) {
  auto said = run_program({"fio", "--version"}, stop);
  if (!said) return {};
  return said->output.substr(0, said->output.find('\n'));
}

}  // namespace dmabuffs::cli::bench
