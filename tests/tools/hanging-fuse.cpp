// SPDX-License-Identifier: MIT
// hanging-fuse DIRECTORY: a FUSE file system with files of the names "file", "file1", "file2", …, which can
// be opened and read; who closes one waits for as long as this runs. With a second word, `written`: who lets
// go the last of one that was written to, uninterruptibly.
#include <fuse3/fuse_lowlevel.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string_view>

namespace {

constexpr double kForEver = 1e6;
constexpr fuse_ino_t kFile = 2;
constexpr std::array<char, 4096> kContent{};

struct stat attributes_of(fuse_ino_t ino) {
  struct stat st {};
  st.st_ino = ino;
  st.st_mode = ino >= kFile ? S_IFREG | 0666 : S_IFDIR | 0755;
  st.st_nlink = 1;
  if (ino >= kFile) st.st_size = kContent.size();
  return st;
}

void getattr(fuse_req_t request, fuse_ino_t ino, fuse_file_info*) {
  const struct stat st = attributes_of(ino);
  fuse_reply_attr(request, &st, kForEver);
}

void lookup(fuse_req_t request, fuse_ino_t, const char* name) {
  if (!std::string_view(name).starts_with("file")) return (void)fuse_reply_err(request, ENOENT);
  fuse_entry_param entry{};
  entry.ino = kFile + static_cast<fuse_ino_t>(std::atoi(name + std::strlen("file")));
  entry.attr = attributes_of(entry.ino);
  entry.attr_timeout = entry.entry_timeout = kForEver;
  fuse_reply_entry(request, &entry);
}

void open_file(fuse_req_t request, fuse_ino_t, fuse_file_info* info) {
  fuse_reply_open(request, info);
}

void read_file(fuse_req_t request, fuse_ino_t, size_t size, off_t offset, fuse_file_info*) {
  const size_t at = std::min(static_cast<size_t>(offset), kContent.size());
  fuse_reply_buf(request, kContent.data() + at, std::min(size, kContent.size() - at));
}

void never(fuse_req_t, fuse_ino_t, fuse_file_info*) {}
void never_written(fuse_req_t, fuse_ino_t, const char*, size_t, off_t, fuse_file_info*) {}
void at_once(fuse_req_t request, fuse_ino_t, fuse_file_info*) {
  fuse_reply_err(request, 0);
}

void keep_what_is_written(void*, fuse_conn_info* connection) {
  connection->want |= FUSE_CAP_WRITEBACK_CACHE;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  const bool written = argc > 2 && std::string_view(argv[2]) == "written";
  fuse_args arguments = FUSE_ARGS_INIT(0, nullptr);
  fuse_opt_add_arg(&arguments, "hanging-fuse");
  if (::geteuid() == 0) fuse_opt_add_arg(&arguments, "-oallow_other");
  fuse_lowlevel_ops operations{};
  operations.lookup = lookup;
  operations.getattr = getattr;
  operations.open = open_file;
  operations.read = read_file;
  operations.flush = written ? at_once : never;
  operations.write = never_written;
  if (written) operations.init = keep_what_is_written;
  fuse_session* session = fuse_session_new(&arguments, &operations, sizeof operations, nullptr);
  if (session == nullptr || fuse_session_mount(session, argv[1]) != 0) return 1;
  fuse_set_signal_handlers(session);
  fuse_session_loop(session);
  fuse_session_unmount(session);
  return 0;
}
