// SPDX-License-Identifier: MIT
#include "dmabuffs/cli/mount/settings.h"

#include <sys/sysinfo.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <set>

#include "dmabuffs/base/range.h"
#include "dmabuffs/control/way.h"
#include "dmabuffs/fuse/fuse_version.h"

namespace dmabuffs::cli {

namespace {

constexpr uint64_t kMostRecycled = uint64_t{1} << 30;

/// Options the kernel or libfuse understand, passed on as they are.
const std::set<std::string, std::less<>> kPassedOn = {"noatime", "sync", "async", "dirsync", "suid",
                                                      "nosuid",  "dev",  "nodev", "exec",    "noexec"};
/// Options for mount(8), systemd and init scripts, which reach us when a helper passes them on.
const std::set<std::string, std::less<>> kForOthers = {
    "rw", "auto", "noauto", "user", "nouser", "users", "owner", "group", "nofail", "_netdev", "defaults",
    // times are kept by the daemon, or by the host
    "atime", "relatime", "norelatime", "strictatime", "nostrictatime", "diratime", "nodiratime", "lazytime",
    "nolazytime", "silent", "loud"};

Result<FilesOption> parse_files(const std::string& word) {
  FilesOption option;
  const size_t equals = word.find('=');
  std::string directory = word;
  // "NAME=DIR" unless the part before '=' is a path itself.
  if (equals != std::string::npos && word.find('/') > equals) {
    option.name = word.substr(0, equals);
    directory = word.substr(equals + 1);
  }
  constexpr std::string_view kReadOnly = ":ro";
  if (directory.ends_with(kReadOnly)) {
    option.read_only = true;
    directory.resize(directory.size() - kReadOnly.size());
  }
  if (directory.empty())
    return fail(EINVAL, "--files '" + word + "': the directory is missing; write [NAME=]DIR[:ro]");
  TRY(check_answers(directory));
  std::error_code problem;
  const auto path = std::filesystem::canonical(directory, problem);
  const bool is_directory = !problem && std::filesystem::is_directory(path, problem);
  if (problem) return fail(problem.value(), "--files " + word + ": " + directory + ": " + problem.message());
  if (!is_directory) return fail(ENOTDIR, "--files " + word + ": " + directory + " is not a directory");
  option.directory = path;
  if (option.name.empty()) option.name = path.filename();
  if (option.name.empty()) option.name = "root";
  if (option.name.find('/') != std::string::npos || option.name == "." || option.name == "..") {
    return fail(EINVAL, "--files " + word + ": '" + option.name + "' is no name for a directory");
  }
  return option;
}

Result<HeapOption> parse_heap(const std::string& word, bool if_present) {
  HeapOption option;
  option.if_present = if_present;
  const size_t colon = word.find(':');
  option.name = word.substr(0, colon);
  if (option.name.empty()) return fail(EINVAL, "--heap '" + word + "': a heap's name is missing");
  if (colon == std::string::npos) return option;
  const auto settings = TRY(split_options(word.substr(colon + 1)));
  for (const std::string& setting : settings) {
    const size_t equals = setting.find('=');
    if (equals == std::string::npos || equals == 0)
      return fail(EINVAL, std::string("--heap ").append(word) + ": '" + setting + "' is not KEY=VALUE");
    option.settings[setting.substr(0, equals)] = setting.substr(equals + 1);
  }
  return option;
}

Result<void> apply_option(MountSettings& settings, MountWords& words, const std::string& option) {
  const size_t equals = option.find('=');
  const std::string key = option.substr(0, equals);
  const std::string value = equals == std::string::npos ? "" : option.substr(equals + 1);
  const auto size_into = [&](uint64_t& into) -> Result<void> {
    auto size = parse_size(value);
    if (!size) return fail(EINVAL, "-o " + option + ": " + size.error().message);
    into = *size;
    return {};
  };
  const auto takes_no_value = [&] {
    return fail(EINVAL, "-o " + option + ": " + key + " takes no value; write -o " + key);
  };
  const std::array<std::pair<const char*, bool*>, 11> switches = {{
      {"require_direct", &settings.require_direct},
      {"allow_other", &settings.allow_other},
      {"ro", &settings.read_only},
      {"xattr", &settings.xattr},
      {"auto_unmount", &settings.auto_unmount},
      {"passthrough", &settings.passthrough},
      {"debug", &settings.debug},
      {"private", &settings.private_mount},
      {"foreground", &settings.foreground},
      {"allow_root", &settings.allow_root},
      {"default_permissions", nullptr},
  }};
  const bool off = key.starts_with("no_");
  const std::string plain = off ? key.substr(3) : key;
  for (const auto& [name, flag] : switches) {
    if (plain != name) continue;
    if (equals != std::string::npos) return takes_no_value();
    if (flag != nullptr) *flag = !off;
    return {};
  }
  if (key == "size") {
    TRY(size_into(settings.size));
    if (settings.size < kPage)
      return fail(EINVAL,
                  "-o " + option + ": less than a page (4096 bytes) holds nothing; write 512M, 2G or 25%");
    return {};
  }
  if (key == "recycle") return size_into(settings.recycle);
  if (key == "fsname") {
    if (value.empty())
      return fail(EINVAL, "-o " + option + ": the name is missing; without the option it is 'dmabuffs'");
    settings.fsname = value;
    return {};
  }
  if (key == "files") {
    words.files.push_back(value);
    return {};
  }
  if (key == "heap") {
    words.heaps.push_back(value);
    return {};
  }
  if (key == "heap_if_present") {
    words.heaps_if_present.push_back(value);
    return {};
  }
  if (kPassedOn.contains(key)) {
    if (equals != std::string::npos) return takes_no_value();
    settings.fuse_options.push_back(option);
    return {};
  }
  if (key == "remount")
    return fail(
        EINVAL,
        "-o remount: this file system can't be remounted; umount it and mount it anew (its buffers go)");
  if (kForOthers.contains(key) || key.starts_with("x-") || key.starts_with("comment")) return {};
  return fail(
      EINVAL,
      "-o " + option +
          ": unknown option; there are size=, recycle=, files=, heap=, heap_if_present=, require_direct, "
          "allow_other, allow_root, ro, xattr, no_passthrough, no_auto_unmount, fsname=, debug, "
          "foreground and what every file system takes (see mount.dmabuffs(8))");
}

}  // namespace

uint64_t machine_memory() {
  struct sysinfo info {};
  ::sysinfo(&info);
  return static_cast<uint64_t>(info.totalram) * info.mem_unit;
}

Result<std::vector<std::string>> split_options(const std::string& text) {
  std::vector<std::string> words;
  std::string word;
  bool quoted = false;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 1 < text.size()) {
      word += text[++i];
    } else if (text[i] == '"' && (quoted || word.ends_with('='))) {
      quoted = !quoted;
    } else if (text[i] == ',' && !quoted) {
      if (!word.empty()) words.push_back(std::exchange(word, {}));
    } else {
      word += text[i];
    }
  }
  if (quoted)
    return fail(
        EINVAL,
        "'" + text + "': a quote (\") is not closed; close it, or write \\\" where it is part of the value");
  if (!word.empty()) words.push_back(word);
  return words;
}

std::string escaped(const std::string& option) {
  std::string text;
  for (const char c : option) {
    if (c == ',' || c == '\\' || c == '"') text += '\\';
    text += c;
  }
  return text;
}

Result<uint64_t> parse_size(const std::string& text) {
  const auto bad = [&] { return fail(EINVAL, "'" + text + "' is no size; write 512M, 2G or 25%"); };
  size_t used = 0;
  double number = 0;
  try {
    number = std::stod(text, &used);
  } catch (const std::exception&) {
    return bad();
  }
  if (!(number >= 0) || text.find_first_of("xXeEiInN") < used) return bad();
  std::string unit = text.substr(used);
  if (unit == "%" && number > 100)
    return fail(EINVAL, "'" + text + "' is more than there is; write 100% or less, or an absolute size");
  if (unit == "%") return static_cast<uint64_t>(static_cast<double>(machine_memory()) * number / 100);
  constexpr std::string_view kUnits = "BKMGT";
  if (unit.ends_with("iB") && unit.size() == 3) unit.resize(1);
  if (unit.empty()) unit = "B";
  const size_t power = kUnits.find(static_cast<char>(std::toupper(static_cast<unsigned char>(unit[0]))));
  if (unit.size() != 1 || power == std::string_view::npos) return bad();
  const double bytes = number * std::pow(1024, static_cast<double>(power));
  if (bytes > 9e18) return bad();
  return static_cast<uint64_t>(bytes);
}

Result<MountSettings> understand(const MountWords& given) {
  MountWords words = given;
  MountSettings settings;
  settings.require_direct = words.require_direct;
  settings.foreground = words.foreground;
  settings.xattr = DMABUFFS_XATTR_IS_FREE != 0;
  settings.recycle = std::min(machine_memory() / 8, kMostRecycled);
  for (const std::string& text : given.options) {
    const auto options = TRY(split_options(text));
    for (const std::string& option : options) {
      TRY(apply_option(settings, words, option));
    }
  }
  if (settings.allow_other && settings.allow_root)
    return fail(EINVAL, "-o allow_other,allow_root: one of them; allow_other lets root in, too");
  if (settings.private_mount && settings.allow_other)
    return fail(EINVAL,
                "-o private,allow_other: one of them; a private mount skips the checks of others' rights");
  std::set<std::string> names;
  for (const std::string& word : words.files) {
    auto option = TRY(parse_files(word));
    if (!names.insert(option.name).second) {
      return fail(EINVAL, "--files " + word + ": the name '" + option.name +
                              "' is taken; give another as NAME=" + option.directory);
    }
    settings.files.push_back(std::move(option));
  }
  for (const auto& [heaps, if_present] : {std::pair(&words.heaps, false), {&words.heaps_if_present, true}})
    for (const std::string& word : *heaps) {
      auto option = TRY(parse_heap(word, if_present));
      settings.heaps.push_back(std::move(option));
    }
  if (words.mountpoint.empty()) return fail(EINVAL, "the MOUNTPOINT is an empty word");
  settings.mountpoint = words.mountpoint;
  return settings;
}

}  // namespace dmabuffs::cli
