// SPDX-License-Identifier: MIT
/// The commands, and what the command line told them. Each returns the exit status: 0 done, 1 failed, 2
/// usage; exec: the command's own (126/127).
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "dmabuffs/cli/mount/settings.h"
#include "dmabuffs/image/picture.h"

namespace dmabuffs::cli {

inline constexpr int kUsageError = 2;

int run_mount(const MountWords& words);
/// `lazy`: detach a busy mount now.
int run_umount(const std::vector<std::string>& paths, bool lazy);

struct CopyOptions {
  bool require_direct = false;
  bool progress = true;
  bool preserve = false;  ///< mode, owner (as far as allowed) and times
  bool force = false;     ///< a destination that can't be opened is removed and made anew
};
struct CpOptions {
  CopyOptions copy;
  image::PictureWords picture;  ///< that is in what is copied
  bool json = false, recursive = false, verbose = false;
  std::vector<std::string> paths;
};
int run_cp(const CpOptions& options);

struct ExecSettings {
  std::vector<std::string> files, heaps, heaps_if_present, options;
  bool require_direct = false;
  std::vector<std::string> buffers;  ///< [NAME=]PATH; with any there is no private mount
  bool fd = false, require_dmabuf = false, huge = false;
};
/// `command`: see cut_command.
int run_exec(const ExecSettings& settings, std::vector<std::string> command);
int run_exec_with_buffers(const ExecSettings& settings, std::vector<std::string> command);
/// Whether a word before a "--" has to be a buffer, [NAME=]PATH: it is of a mount, or nothing that could be
/// run.
bool names_buffer(const std::string& word);
/// Becomes the program. Returns only when that fails, and has reported it: 126 or 127.
int execute(std::vector<std::string>& command);

struct InfoOptions {
  bool json = false;
  std::vector<std::string> files;
};
int run_info(const InfoOptions& options);

struct ImportOptions {
  std::optional<int> pid;  ///< without: this process
  int fd = -1;
  bool writable = false;
  image::PictureWords picture;  ///< that is in it
  std::string path;
};
int run_import(const ImportOptions& options);

struct CreateOptions {
  image::PictureWords picture;  ///< without a format its size is bytes
  std::vector<std::string> files;
};
int run_create(const CreateOptions& options);

struct FormatOptions {
  image::PictureWords picture;
  bool clear = false;
  std::vector<std::string> files;
};
int run_format(const FormatOptions& options);

struct PsOptions {
  bool json = false;
  std::optional<int> pid;
};
int run_ps(const PsOptions& options);

/// "XR24 AR24 ...": the formats that can be shown.
std::string format_list();

struct ViewOptions {
  image::PictureWords picture;
  std::string file;
  std::string output;  ///< of the PNG; "-": standard output; empty: the terminal
  std::string colorspace, range, channel;
  uint64_t frame = 0;
};
int run_view(const ViewOptions& options);

struct DiffOptions {
  image::PictureWords picture;  ///< of both
  std::string a, b;
  uint32_t tolerance = 0;
  std::optional<uint64_t> frame;  ///< without: all that there are
  std::string image;              ///< where to write a PNG of what differs; empty: nowhere
  bool json = false;
};
/// As cmp(1): 0 the same, 1 different, 2 trouble.
int run_diff(const DiffOptions& options);

struct HexOptions {
  image::PictureWords picture;
  std::string file, offset, length;
  bool plain = false;
};
int run_hex(const HexOptions& options);

int run_status(const std::string& path, bool json);
int run_socket(const std::string& path);

struct BenchOptions {
  std::string file;
  std::string create;  ///< size of FILE, if it is to be made; empty: it is there
  unsigned runs = 5;
  std::vector<std::string> heaps, rows;  ///< rows: patterns; empty: all
  std::string baseline, chunks, each, svg;
  bool write = false, list = false, keep_caches = false, json = false, markdown = false;
};
int run_bench(const BenchOptions& options);

struct DoctorSettings {
  bool json = false, fix = false;
};
int run_doctor(const DoctorSettings& settings);

/// True when mount(8) called: as mount.dmabuffs or mount.fuse.dmabuffs, or (mount.fuse3, for type
/// fuse.dmabuffs) as `dmabuffs SOURCE MOUNTPOINT -o OPTIONS` with no command.
bool is_mount_helper(int argc, char** argv);

/// What `mount.dmabuffs --help` prints.
std::string mount_helper_help();

/// argv of `mount.dmabuffs SOURCE MOUNTPOINT [-o OPTIONS]` turned into that of `dmabuffs mount`. Empty: there
/// is nothing to do (`mount -f`, a rehearsal).
std::vector<std::string> from_mount_helper(int argc, char** argv);

/// Cuts "[--] COMMAND ARGUMENT..." off the words of `dmabuffs exec` and returns COMMAND and its arguments:
/// they must stay as they are, but CLI11 would read a word like "[a,b]" as a list, and their options as its
/// own. Words before a "--" stay, too, as buffers to hand out, where --fd says so or the first of them
/// `is_buffer`.
std::vector<std::string> cut_command(std::vector<std::string>& words,
                                     const std::function<bool(const std::string&)>& is_buffer);
/// The one of `known` that a mistyped `word` is likely to mean; empty: none.
std::string nearest(const std::string& word, const std::vector<std::string>& known);
/// For a call of `dmabuffs cp` with an option that only cp(1) has: what to do instead.
std::optional<std::string> advice_on_cp(const std::vector<std::string>& words);
/// Rewrites operands that CLI11 would misread, all of them paths: "-a" behind "--" becomes "./-a" (CLI11
/// loses "--" in a command's operands) and "[a,b]" becomes "./[a,b]" (else a list).
void guard_operands(std::vector<std::string>& words);

/// Ends the process by `signal` as if it had never been caught: only then a shell ends its loop on Ctrl-C,
/// too. Returns 128 + signal where that is impossible.
int die_by(int signal);

/// Prints "dmabuffs: message" to stderr and returns 1. Control characters, of a strange name, are escaped.
int report(const std::string& message);
/// Reports that `command` was called wrongly and where its help is; returns kUsageError.
int misuse(const std::string& command, const std::string& message);

}  // namespace dmabuffs::cli
