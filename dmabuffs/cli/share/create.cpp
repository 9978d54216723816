// SPDX-License-Identifier: MIT
/// `dmabuffs create FILE...`: makes buffers of a size, or for a picture.
/// `dmabuffs format FILE...`: says what picture is in buffers, or shows what was said.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

#include "dmabuffs/base/unique_fd.h"
#include "dmabuffs/cli/commands.h"
#include "dmabuffs/cli/cp/file.h"
#include "dmabuffs/cli/output.h"
#include "dmabuffs/control/hand_out.h"
#include "dmabuffs/control/way.h"
#include "dmabuffs/heap/message.h"

namespace dmabuffs::cli {

namespace {

Result<void> create_bytes(const std::string& path, uint64_t size) {
  if (!lies_in_mount(path))
    return fail(EINVAL, path + ": not in a mount; buffers are files below its heaps/");
  const UniqueFd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
  if (!file) return not_created(errno, path);
  if (::ftruncate(file.get(), static_cast<off_t>(size)) == 0) return {};
  const int code = errno;
  (void)::unlink(path.c_str());
  if (code == ENOSPC)
    return fail(code, path + ": " + std::strerror(code) +
                          "; `dmabuffs status` shows the mount's size and what is in use: remove buffers or "
                          "mount with a larger -o size=");
  return path_error(code, path);
}

Result<void> create(const CreateOptions& options, const std::string& path) {
  TRY(check_answers(path));
  struct stat there {};
  if (::stat(path.c_str(), &there) == 0 && S_ISDIR(there.st_mode))
    return fail(EISDIR, path + ": a directory; name a file in it");
  if (options.picture.format.empty()) return create_bytes(path, parse_size(options.picture.size).value_or(0));
  Clients clients;
  auto made = create_picture(clients, path, image::to_text(options.picture));
  if (!made && made.error().code == EPERM) return not_created(EPERM, path);
  TRY(std::move(made));
  return {};
}

Result<void> format(const FormatOptions& options, const std::string& path) {
  Clients clients;
  if (options.clear || !options.picture.empty()) {
    TRY(check_answers(path));
    TRY(set_format(clients, path, options.clear ? "" : image::to_text(options.picture)));
    return {};
  }
  const auto info = TRY(info_of(clients, path));
  const auto known = info.find("format");
  const bool is_known = known != info.end() && known->is_object();
  std::printf("%s: %s%s\n", escape_name(path).c_str(),
              is_known ? escape_name(text_of(*known, "text").value_or("")).c_str() : "not known",
              is_known && text_of(*known, "from") == "name" ? " (by name)" : "");
  return {};
}

/// All of them, whatever becomes of one.
template <class Options>
int each(const char* command, const Options& options,
         Result<void> (*work)(const Options&, const std::string&)) {
  int status = 0;
  for (const std::string& path : options.files)
    if (const auto done = work(options, path); !done)
      status = report(std::string(command) + ": " + done.error().message);
  return status;
}

}  // namespace

int run_create(const CreateOptions& options) {
  const image::PictureWords& words = options.picture;
  if (!words.format.empty()) {
    const auto picture = image::make_picture(words, image::Padding::None);
    if (!picture) return misuse("create", picture.error().message);
  } else if (const auto bytes = parse_size(words.size); bytes && *bytes == 0) {
    return misuse("create", "--size " + words.size + ": a buffer has one byte or more");
  } else if (!words.size.empty() && !bytes && words.size.find('x') == std::string::npos) {
    return misuse("create", "--size: " + bytes.error().message);
  } else if (!words.stride.empty() || !words.offset.empty() || !words.modifier.empty() || !bytes) {
    return misuse("create", words.size.find('x') == std::string::npos
                                ? "write --size BYTES, such as 64M, or --format F --size WxH"
                                : "--size " + words.size + ": which --format? Such as XR24 or NV12");
  }
  return each("create", options, create);
}

int run_format(const FormatOptions& options) {
  if (options.clear && !options.picture.empty()) return misuse("format", "--clear and --format: one of them");
  if (!options.picture.empty()) {
    const auto picture = image::make_picture(options.picture, image::Padding::None);
    if (!picture) return misuse("format", picture.error().message);
  }
  const std::string& first = options.files.front();
  if (options.picture.empty() && image::format_named(first) && ::access(first.c_str(), F_OK) != 0)
    return misuse("format", first + ": write --format " + first + " --size WxH, then FILE");
  return each("format", options, format);
}

}  // namespace dmabuffs::cli
