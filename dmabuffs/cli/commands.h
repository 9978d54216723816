// SPDX-License-Identifier: MIT
/// The commands: each adds itself to the parser and returns the exit status through `exit_status`.
/// Exit: 0 done, 1 failed, 2 usage; exec: the command's own (126/127).
#pragma once
#include <CLI/CLI.hpp>
#include <functional>
#include <string>
#include <vector>

namespace dmabuffs::cli {

/// What main runs after parsing: set by the chosen command's callback.
using Action = std::function<int()>;

void add_mount(CLI::App& app, Action& action);
void add_umount(CLI::App& app, Action& action);
void add_cp(CLI::App& app, Action& action);
/// `command`: what stood behind "--" (see cut_command).
void add_exec(CLI::App& app, Action& action, std::vector<std::string> command);
void add_info(CLI::App& app, Action& action);
void add_status(CLI::App& app, Action& action);
void add_socket(CLI::App& app, Action& action);
void add_doctor(CLI::App& app, Action& action);

/// True when mount(8) called: as mount.dmabuffs or mount.fuse.dmabuffs, or (mount.fuse3, for type
/// fuse.dmabuffs) as `dmabuffs SOURCE MOUNTPOINT -o OPTIONS` with no command.
bool is_mount_helper(int argc, char** argv);

/// argv of `mount.dmabuffs SOURCE MOUNTPOINT [-o OPTIONS]` turned into that of `dmabuffs mount`. Empty: there
/// is nothing to do (`mount -f`, a rehearsal).
std::vector<std::string> from_mount_helper(int argc, char** argv);

/// Cuts "-- COMMAND ARGUMENT..." off the words of `dmabuffs exec` and returns COMMAND and its arguments: they
/// must stay as they are, but CLI11 would read a word like "[a,b]" as a list.
std::vector<std::string> cut_command(std::vector<std::string>& words);
/// Rewrites operands that CLI11 would misread, all of them paths: "-a" behind "--" becomes "./-a" (CLI11 loses "--" in
/// a command's operands) and "[a,b]" becomes "./[a,b]" (else a list).
void guard_operands(std::vector<std::string>& words);

/// Prints "dmabuffs: message" to stderr and returns 1.
int report(const std::string& message);

}  // namespace dmabuffs::cli
