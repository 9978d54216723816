// SPDX-License-Identifier: MIT
/// Parses the command line and hands over to one command.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <climits>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "dmabuffs/cli/commands.h"
#include "dmabuffs/fuse/fuse_version.h"

namespace {

using namespace dmabuffs::cli;

/// What main runs after parsing: set by the chosen command's callback.
using Action = std::function<int()>;

std::string version() {
  return std::string("dmabuffs ") + DMABUFFS_VERSION + "\nlibfuse " + fuse_pkgversion();
}

/// What is wrong comes before what is missing: CLI11 would name the operand that a misspelt option kept it
/// from finding.
std::string usage_hint(const CLI::App* app, const CLI::Error& error) {
  std::string help = "dmabuffs", place = "dmabuffs: ";
  for (const CLI::App* chosen : app->get_subcommands()) {
    help += " " + chosen->get_name();
    place += chosen->get_name() + ": ";
  }
  const std::vector<std::string> unknown = app->remaining(/*recurse=*/true);
  std::string wrong = error.what();
  if (!unknown.empty())
    wrong = (unknown.front().starts_with('-') ? "there is no option "
             : app->get_subcommands().empty() ? "there is no command "
                                              : "one word too many: ") +
            unknown.front();
  if (!unknown.empty() && app->get_subcommands().empty() && !unknown.front().starts_with('-')) {
    constexpr std::array<std::string_view, 12> kPlain{"cat", "chmod", "cmp", "dd", "df",    "du",
                                                      "ln",  "ls",    "mv",  "rm", "mkdir", "stat"};
    std::vector<std::string> commands{"help"};
    for (const CLI::App* each : app->get_subcommands({})) commands.push_back(each->get_name());
    if (std::ranges::count(kPlain, unknown.front()) != 0)
      wrong += "; plain `" + unknown.front() + "` works on the mount";
    else if (const std::string meant = nearest(unknown.front(), commands); !meant.empty())
      wrong += "; did you mean " + meant + "?";
  }
  return place + wrong + "\nTry '" + help + " --help'.\n";
}

/// Options whose value is one word, and which may be given again.
CLI::Option* add_words(CLI::App& command, const std::string& name, std::vector<std::string>& words,
                       const std::string& text, const std::string& type) {
  return command.add_option(name, words, text)
      ->type_name(type)
      ->expected(1)
      ->allow_extra_args(false)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
}

template <class Words>
void add_mount_words(CLI::App& command, Words& words) {
  add_words(command, "--files", words.files, "Show the host directory DIR as files/NAME; repeatable",
            "[NAME=]DIR[:ro]");
  const char* heap = "NAME[:KEY=VALUE,...]";
  add_words(command, "--heap", words.heaps, "Show this heap (default: all that are found); repeatable", heap);
  add_words(command, "--heap-if-present", words.heaps_if_present, "The same, where the machine may lack it",
            heap);
  command.add_flag("--require-direct", words.require_direct, "Fail a transfer that can't run by direct I/O");
}

void add_mount(CLI::App& app, Action& action) {
  auto words = std::make_shared<MountWords>();
  CLI::App* mount = app.add_subcommand("mount", "Mount the heaps of this machine as directories of buffers");
  mount->add_option("MOUNTPOINT", words->mountpoint, "Directory to mount on")->required();
  add_mount_words(*mount, *words);
  mount->add_flag("-f,--foreground", words->foreground, "Stay in the foreground, log to stderr");
  add_words(*mount, "-o", words->options, "Options, comma-separated; see below", "OPT,...");
  mount->footer(
      "Options of -o:\n"
      "  size=SIZE          most memory the mount may hold: 512M, 2G, 25% (default: half of RAM)\n"
      "  recycle=SIZE       memory of removed buffers kept for the next load (0: none)\n"
      "  allow_other        other users may use the mount\n"
      "  allow_root         root may use the mount besides its owner\n"
      "                     (for both an ordinary user needs user_allow_other in /etc/fuse.conf)\n"
      "  ro                 nothing can be changed\n"
      "  require_direct, files=[NAME=]DIR[:ro], heap=NAME, heap_if_present=NAME, foreground\n"
      "                     as the options above, for fstab\n"
      "  xattr              extended attributes on buffers (with libfuse 3.14 writes get slower)\n"
      "  no_passthrough     all reads and writes go through the daemon; no buffer can be mapped\n"
      "  no_auto_unmount    the mount stays when the daemon dies\n"
      "  fsname=NAME, debug, and what every file system takes: nodev, nosuid, noexec, noatime, ...\n"
      "Buffers are memory, and gone when the daemon ends, unless systemd stores them: see dmabuffs(1)\n"
      "for the units dmabuffs@.service.");
  mount->callback([&action, words] { action = [words] { return run_mount(*words); }; });
}

void add_umount(CLI::App& app, Action& action) {
  auto paths = std::make_shared<std::vector<std::string>>();
  auto lazy = std::make_shared<bool>(false);
  CLI::App* umount = app.add_subcommand("umount", "Unmount, and wait for the daemons to end");
  umount->alias("unmount");
  umount->add_flag("-l,--lazy", *lazy, "Detach a busy mount now; it ends with its last user");
  umount->add_option("MOUNTPOINT", *paths, "Where it is mounted; repeatable")->required();
  umount->callback([&action, paths, lazy] { action = [paths, lazy] { return run_umount(*paths, *lazy); }; });
}

/// Lets a whole number from 0 to `most` through: CLI11 takes -1 for a large one, and says of a word only that
/// it could not convert it.
std::function<std::string(const std::string&)> number_to(uint64_t most = UINT64_MAX) {
  return [most](const std::string& word) -> std::string {
    uint64_t value = 0;
    const char* end = word.data() + word.size();
    const auto [rest, error] = std::from_chars(word.data(), end, value);
    if (error == std::errc() && rest == end && value <= most) return "";
    return "'" + word + "' is no number from 0 " + (most == UINT64_MAX ? "on" : "to " + std::to_string(most));
  };
}

void add_picture_words(CLI::App& command, dmabuffs::image::PictureWords& words) {
  const auto add = [&command](const char* name, std::string& word, const char* text, const char* type) {
    command.add_option(name, word, text)->type_name(type);
  };
  add("--format", words.format, "Format of the picture: NV12, XR24, ...", "F");
  add("--size", words.size, "Its width and height in pixels: 1920x1080", "WxH");
  add("--stride", words.stride, "Bytes from one row to the next: of all planes, or of each", "N[,N...]");
  add("--offset", words.offset, "Where each plane begins, in bytes", "N[,N...]");
  add("--modifier", words.modifier, "The order of its pixels (default: LINEAR)", "M");
}

void add_cp(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("cp", "Copy files; directly where a side lies in a mount");
  const auto options = std::make_shared<CpOptions>();
  command->add_flag("--require-direct", options->copy.require_direct,
                    "Fail instead of copying by way of the CPU");
  command->add_flag_callback(
      "--no-progress", [options] { options->copy.progress = false; }, "Show no progress on the terminal");
  command->add_flag("--json", options->json, "Print what was done as JSON (docs/json.md)");
  command->add_flag("-r,-R,--recursive", options->recursive, "Copy directories with all that is in them");
  command->add_flag("-f,--force", options->copy.force, "Replace a destination that can't be opened");
  command->add_flag("-p,--preserve", options->copy.preserve, "Keep mode, owner and times");
  command->add_flag("-v,--verbose", options->verbose, "Print each file and the path its bytes took");
  add_picture_words(*command, options->picture);
  // No space: CLI11 2.4 refuses it in a name.
  command->add_option("SRC...DST", options->paths, "Files to copy, then where to: a file or a directory")
      ->option_text(" ")
      ->required();
  command->callback([&action, options] { action = [options] { return run_cp(*options); }; });
}

void add_exec(CLI::App& app, Action& action, std::vector<std::string> command) {
  auto settings = std::make_shared<ExecSettings>();
  CLI::App* exec = app.add_subcommand(
      "exec", "Run a command with buffers as its descriptors, or with a private mount, in $DMABUFFS_MOUNT");
  exec->footer(
      "As in: dmabuffs exec buf/heaps/system/in out=buf/heaps/system/out -- ./prog --in-fd 3 --out-fd 4\n"
      "       dmabuffs exec --files data=. -- sh -c 'ls $DMABUFFS_MOUNT'");
  exec->add_option(
      "FILE", settings->buffers,
      "Buffers to hand out, FILE or NAME=FILE: from descriptor 3 on, in this order ($LISTEN_FDS, "
      "$LISTEN_FDNAMES)");
  exec->add_flag("--fd", settings->fd, "The words before -- are such buffers, whatever they look like");
  exec->add_flag("--require-dmabuf", settings->require_dmabuf, "Fail where the memory is no dma-buf");
  exec->add_flag("--huge", settings->huge,
                 "Huge pages stay, also where this kernel's importers misread them");
  // For the help only: cut_command has taken it.
  auto shown = std::make_shared<std::string>();
  exec->add_option("COMMAND", *shown, "What to run: from the first word that is no option, or behind --");
  add_mount_words(*exec, *settings);
  add_words(*exec, "-o", settings->options, "Options, as for mount", "OPT,...");
  exec->callback([&action, settings, shown, command = std::move(command)] {
    action = [settings, command] { return run_exec(*settings, command); };
  });
}

void add_import(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("import", "Make a file below heaps/import of a program's dma-buf");
  const auto options = std::make_shared<ImportOptions>();
  command->footer("As in: dmabuffs import --pid 812 --fd 27 buf/heaps/import/scanout");
  command->add_option("--pid", options->pid, "Process that has it (default: it is inherited by this one)")
      ->type_name("PID")
      ->check(number_to(INT_MAX));
  command->add_option("--fd", options->fd, "Number of its descriptor; see dmabuffs ps")
      ->type_name("N")
      ->check(number_to(INT_MAX))
      ->required();
  command->add_flag("--rw", options->writable, "You may write it, too: mode 0600 instead of 0400");
  add_picture_words(*command, options->picture);
  command->add_option("FILE", options->path, "Where: a new name below a mount's heaps/import")->required();
  command->callback([&action, options] { action = [options] { return run_import(*options); }; });
}

void add_create(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("create", "Make buffers: of a size, or for a picture");
  const auto options = std::make_shared<CreateOptions>();
  command->footer(
      "As in: dmabuffs create --format NV12 --size 1920x1080 buf/heaps/system/frame\n"
      "       dmabuffs create --size 64M buf/heaps/udmabuf/capture");
  add_picture_words(*command, options->picture);
  command->get_option("--size")
      ->description("With --format its width and height in pixels: 1920x1080; without: so many bytes, 64M")
      ->type_name("WxH|BYTES");
  command->add_option("FILE", options->files, "New names below a mount's heaps/")->required();
  command->callback([&action, options] { action = [options] { return run_create(*options); }; });
}

void add_format(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("format", "Say what picture is in buffers, or show what is known");
  const auto options = std::make_shared<FormatOptions>();
  add_picture_words(*command, options->picture);
  command->add_flag("--clear", options->clear, "Forget what was said");
  command->add_option("FILE", options->files, "Buffers: files below a mount's heaps/")->required();
  command->callback([&action, options] { action = [options] { return run_format(*options); }; });
}

void add_info(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("info", "Show what is known of buffers: heap, sizes, dma-buf");
  const auto options = std::make_shared<InfoOptions>();
  command->add_flag("--json", options->json, "Print a JSON list (docs/json.md)");
  command->add_option("FILE", options->files, "Buffers: files below a mount's heaps/")->required();
  command->callback([&action, options] { action = [options] { return run_info(*options); }; });
}

void add_ps(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("ps", "Show the dma-bufs of this machine and who holds them");
  const auto options = std::make_shared<PsOptions>();
  command->add_flag("--json", options->json, "Print a JSON list (docs/json.md)");
  command->add_option("--pid", options->pid, "Only those that this process holds")
      ->type_name("PID")
      ->check(number_to(INT_MAX));
  command->callback([&action, options] { action = [options] { return run_ps(*options); }; });
}

void add_view(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("view", "Show the picture in a file, as a PNG or on the terminal");
  const auto options = std::make_shared<ViewOptions>();
  command->footer(
      "As in: dmabuffs view buf/heaps/udmabuf/frame -o frame.png\n"
      "       dmabuffs view --format NV12 --size 1920x1080 frame.raw\n"
      "Formats: " +
      format_list());
  command->add_option("-o,--output", options->output, "Write a PNG; -: to standard output")
      ->type_name("FILE");
  add_picture_words(*command, options->picture);
  command
      ->add_option("--colorspace", options->colorspace,
                   "bt601, bt709 or bt2020 (default: bt601 below 720 rows, else bt709)")
      ->type_name("NAME");
  command->add_option("--range", options->range, "Of Y U V samples: limited (default) or full")
      ->type_name("NAME");
  command->add_option("--channel", options->channel, "Show this channel alone, in grey")->type_name("C");
  command->add_option("--frame", options->frame, "Of a file of several pictures that one, from 0")
      ->type_name("N")
      ->check(number_to());
  command->add_option("FILE", options->file, "Any file; -: standard input")->required();
  command->callback([&action, options] { action = [options] { return run_view(*options); }; });
}

void add_diff(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("diff", "Tell where and how much two files or pictures differ");
  const auto options = std::make_shared<DiffOptions>();
  command->footer("Exit status: 0 they are the same, 1 they differ, 2 trouble.");
  command->add_option("--tolerance", options->tolerance, "Samples that are no further apart are the same")
      ->type_name("N")
      ->check(number_to(UINT16_MAX));
  command->add_option("--image", options->image, "Write a PNG of A, darkened, with what differs in red")
      ->type_name("OUT.png");
  command->add_flag("--json", options->json, "Print JSON (docs/json.md)");
  add_picture_words(*command, options->picture);
  command->add_option("--frame", options->frame, "Of files of several pictures that one, from 0")
      ->type_name("N")
      ->check(number_to());
  command->add_option("A", options->a, "Any file; -: standard input")->required();
  command->add_option("B", options->b, "What it is compared with")->required();
  command->callback([&action, options] { action = [options] { return run_diff(*options); }; });
}

void add_hex(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("hex", "Print bytes as xxd does, and the plane and row they are of");
  const auto options = std::make_shared<HexOptions>();
  command->add_flag("--plain", options->plain, "Without plane and row, whatever is known");
  add_picture_words(*command, options->picture);
  command->add_option("FILE", options->file, "Any file; -: standard input")->required();
  command->add_option("OFFSET", options->offset, "The first byte: 4096, 0x1000, 4K (default: 0)");
  command->add_option("LENGTH", options->length, "How many bytes (default: all)");
  command->callback([&action, options] { action = [options] { return run_hex(*options); }; });
}

void add_status(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("status", "Show what a mount holds and how its transfers ran");
  const auto json = std::make_shared<bool>(false);
  const auto path = std::make_shared<std::string>();
  command->add_flag("--json", *json, "Print the status file as it is (docs/json.md)");
  command->add_option("MOUNTPOINT", *path,
                      "The mount point, or any path in the mount; without it, which there are");
  command->callback([&action, json, path] { action = [json, path] { return run_status(*path, *json); }; });
}

void add_socket(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("socket", "Print the path of a mount's control socket");
  const auto path = std::make_shared<std::string>();
  command->add_option("MOUNTPOINT", *path, "The mount point, or any path in the mount")->required();
  command->callback([&action, path] { action = [path] { return run_socket(*path); }; });
}

void add_bench(CLI::App& app, Action& action) {
  CLI::App* command =
      app.add_subcommand("bench", "Measure every way between a file and a dma-buf, side by side");
  const auto options = std::make_shared<BenchOptions>();
  command->footer(
      "As in: dmabuffs bench --create 1G --write /var/tmp/bench.data\n"
      "       dmabuffs bench --each 32M --rows 'udmabuf-*' --rows 'ours-*' --json FILE\n"
      "FILE is only read, once it is there. As root more rows can run.\n"
      "Exit status: 1 if a way failed, or moved wrong bytes.");
  const auto add = [&](const char* name, std::string& word, const char* text, const char* type) {
    command->add_option(name, word, text)->type_name(type);
  };
  add("--create", options->create, "Make FILE, of random bytes, if it is not there", "SIZE");
  command->add_flag("--write", options->write, "Also measure the way back, into a scratch file beside FILE");
  command->add_option("--runs", options->runs, "Times that each way is run (default: 5)")->type_name("N");
  add_words(*command, "--heap", options->heaps,
            "Measure ours only with this heap (default: each that is here); repeatable", "NAME");
  add_words(*command, "--rows", options->rows, "Only rows like this, as ours-*; repeatable", "PATTERN");
  command->add_flag("--list", options->list,
                    "Name the rows, and why some can't run here; FILE may be left out");
  add("--baseline", options->baseline, "Row that speeds are compared with (default: the ceiling)", "ROW");
  add("--chunks", options->chunks, "FILE in pieces, into N buffers of SIZE each: 32x32M", "NxSIZE");
  add("--each", options->each, "The same, into as many as it takes", "SIZE");
  command->add_flag("--keep-caches", options->keep_caches, "Leave FILE in the page cache");
  command->add_flag("--json", options->json, "Print JSON (docs/json.md)");
  command->add_flag("--markdown", options->markdown, "Print a table in markdown");
  add("--svg", options->svg, "Draw a chart, too", "OUT.svg");
  command->add_option("FILE", options->file, "File of the disk to measure, 1 MiB at least");
  command->callback([&action, options] {
    const bool any = options->list && options->chunks.empty();  // a list measures nothing
    if (options->file.empty() && !any) throw CLI::RequiredError("FILE");
    if (options->file.empty()) options->file = "/proc/self/exe";
    action = [options] { return run_bench(*options); };
  });
}

void add_doctor(CLI::App& app, Action& action) {
  auto settings = std::make_shared<DoctorSettings>();
  CLI::App* doctor = app.add_subcommand("doctor", "Tell what this machine can do, and what to change");
  doctor->add_flag("--json", settings->json, "Print JSON");
  doctor->add_flag("--fix", settings->fix, "Run the commands shown as fixes (needs root)");
  doctor->callback([&action, settings] { action = [settings] { return run_doctor(*settings); }; });
}

/// A command whose output was lost has not done what it was asked for.
int after_output(int status) {
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return status;
  return report(std::string("standard output: ") + std::strerror(errno));
}

int print(const std::string& text) {
  std::fputs(text.c_str(), stdout);
  return after_output(0);
}

int run(int argc, char** argv) {
  std::vector<std::string> words(argv + std::min(argc, 1), argv + argc);
  if (is_mount_helper(argc, argv)) {
    const auto asked = [&words](const char* option) {
      return std::find(words.begin(), words.end(), option) != words.end();
    };
    if (asked("-h") || asked("--help")) return print(mount_helper_help());
    if (asked("-V") || asked("--version")) return print(version() + "\n");
    words = from_mount_helper(argc, argv);
    if (words.empty()) return 0;
  }
  std::vector<std::string> command = cut_command(words, names_buffer);
  if (const auto advice = advice_on_cp(words)) return misuse("cp", *advice);
  guard_operands(words);

  CLI::App app("dma-bufs as files: cp, dd, cmp and tar work on them", "dmabuffs");
  app.set_version_flag("-V,--version", version());
  app.require_subcommand(0, 1);
  app.footer("`dmabuffs help COMMAND`, or `dmabuffs COMMAND --help`, tells more of one of them.");
  app.failure_message(usage_hint);
  Action action;
  add_mount(app, action);
  add_umount(app, action);
  add_cp(app, action);
  add_exec(app, action, std::move(command));
  add_import(app, action);
  add_create(app, action);
  add_format(app, action);
  add_info(app, action);
  add_ps(app, action);
  add_view(app, action);
  add_diff(app, action);
  add_hex(app, action);
  add_status(app, action);
  add_socket(app, action);
  add_bench(app, action);
  add_doctor(app, action);

  for (CLI::App* each : app.get_subcommands({})) each->set_version_flag("-V,--version", version());

  if (!words.empty() && words.front() == "help") {
    while (!words.empty() && words.front() == "help") words.erase(words.begin());
    const auto is_named = [&words](const CLI::App* each) { return each->check_name(words.front()); };
    // What is no command is complained of.
    if (words.empty() || !app.get_subcommands(is_named).empty()) words.emplace_back("--help");
  }
  if (!words.empty() && words.front() == "version") words.front() = "--version";
  std::reverse(words.begin(), words.end());  // CLI11 takes a vector from its end
  try {
    app.parse(std::move(words));
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? after_output(0) : kUsageError;
  }
  if (action) return after_output(action());
  std::fputs(app.help().c_str(), stderr);
  return kUsageError;
}

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGCHLD, SIG_DFL);  // ignored, as it may be inherited, it would leave no child's exit status
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    return dmabuffs::cli::report(error.what());
  }
}
