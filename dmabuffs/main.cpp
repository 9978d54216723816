// SPDX-License-Identifier: MIT
/// Parses the command line and hands over to one command.
#include <algorithm>
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "dmabuffs/cli/commands.h"
#include "dmabuffs/fs/fuse_version.h"

namespace {

constexpr int kUsageError = 2;

std::string version() {
  return std::string("dmabuffs ") + DMABUFFS_VERSION + "\nlibfuse " + fuse_pkgversion();
}

std::string usage_hint(const CLI::App* app, const CLI::Error& error) {
  std::string help = "dmabuffs";
  for (const CLI::App* chosen : app->get_subcommands()) help += " " + chosen->get_name();
  return std::string("dmabuffs: ") + error.what() + "\nTry '" + help + " --help'.\n";
}

int run(int argc, char** argv) {
  using namespace dmabuffs::cli;
  std::vector<std::string> words(argv + std::min(argc, 1), argv + argc);
  if (is_mount_helper(argc, argv)) {
    words = from_mount_helper(argc, argv);
    if (words.empty()) return 0;
  }
  std::vector<std::string> command = cut_command(words);
  guard_operands(words);

  CLI::App app("dma-bufs as files: cp, dd, cmp and tar work on them", "dmabuffs");
  app.set_version_flag("-V,--version", version());
  app.require_subcommand(0, 1);
  app.failure_message(usage_hint);
  Action action;
  add_mount(app, action);
  add_umount(app, action);
  add_cp(app, action);
  add_exec(app, action, std::move(command));
  add_info(app, action);
  add_status(app, action);
  add_socket(app, action);
  add_doctor(app, action);

  std::reverse(words.begin(), words.end());  // CLI11 takes a vector from its end
  try {
    app.parse(std::move(words));
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kUsageError;
  }
  if (action) return action();
  std::fputs(app.help().c_str(), stderr);
  return kUsageError;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    return dmabuffs::cli::report(error.what());
  }
}
