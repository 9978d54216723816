// SPDX-License-Identifier: MIT
#include "dmabuffs/control/hand_out.h"

#include <fcntl.h>
#include <sys/stat.h>

namespace dmabuffs {

namespace {

/// Asks the mount that `path` lies in about the file, which is open as `file`.
Result<Message> ask(Clients& clients, const MountEntry& mount, const std::string& path, const UniqueFd& file,
                    Json request, std::span<const int> fds = {}) {
  auto ticket = ticket_of(file.get(), path);
  if (!ticket && ticket.error().code == ENOTTY)
    return fail(EINVAL, path + ": not a buffer: those are the files below heaps/");
  if (!ticket) return pass(std::move(ticket));
  request["file"] = {{"ticket", *ticket}};
  auto answer = TRY(clients.of(mount))->request(request, fds, {});
  if (!answer) return fail(answer.error().code, path + ": " + answer.error().message);
  if (flag_of(answer->body, "ok")) return answer;
  const Error error = error_of(answer->body);
  // The daemon may call it by its last name.
  const std::string called = path.substr(path.rfind('/') + 1) + ": ";
  return fail(error.code,
              path + ": " + error.message.substr(error.message.starts_with(called) ? called.size() : 0));
}

std::string directory_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, slash + 1);
}

}  // namespace

Result<Json> info_of(Clients& clients, const std::string& path) {
  const auto mount = TRY(mount_of(path));
  UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file && errno == EACCES) file.reset(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!file) return path_error(errno, path);
  const auto answer = TRY(ask(clients, mount, path, file, {{"op", "info"}}));
  const auto info = answer.body.find("info");
  if (info == answer.body.end() || !info->is_object()) return fail(EIO, path + ": the daemon told nothing");
  return *info;
}

Result<HandedOut> hand_out(Clients& clients, const std::string& path, bool huge) {
  const auto mount = TRY(mount_of(path));
  // O_APPEND: an open file that passes the daemon may keep others from having the memory at the same time.
  const UniqueFd file(::open(path.c_str(), O_RDWR | O_APPEND | O_CLOEXEC));
  if (!file && (errno == EACCES || errno == EROFS)) {
    const int code = errno;
    if (auto info = info_of(clients, path); !info && info.error().code == EINVAL)
      return pass(std::move(info));
    return fail(code, path + ": " + std::strerror(code) +
                          "; a buffer's memory is for who may both read and write its file");
  }
  if (!file && errno == EISDIR) return fail(EINVAL, path + ": a directory; name a file in it");
  if (!file) return path_error(errno, path);
  auto answer = TRY(ask(clients, mount, path, file, {{"op", "descriptor"}, {"huge", huge}}));
  if (answer.fds.size() != 1) return fail(EPROTO, path + ": the daemon's answer has no descriptor");
  return HandedOut{std::move(answer.fds.front()), std::move(answer.body)};
}

namespace {

/// Makes a file and has the daemon make it what it is to be, or leaves none.
Result<Json> make_file(Clients& clients, const std::string& path, Json request,
                       std::span<const int> fds = {}) {
  const auto mount = TRY(mount_of(directory_of(path)));
  // Made so the kernel judges who may make a file there. What opens with O_CREAT (cp) is refused in
  // heaps/import.
  const mode_t mode = request["op"] == "import" ? S_IRUSR | S_IWUSR : 0666;
  if (::mknod(path.c_str(), S_IFREG | mode, 0) != 0) return path_error(errno, path);
  const UniqueFd file(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  const int code = errno;
  auto answer = file ? ask(clients, mount, path, file, std::move(request), fds)
                     : Result<Message>(path_error(code, path));
  if (answer) return std::move(answer->body);
  (void)::unlink(path.c_str());
  return pass(std::move(answer));
}

}  // namespace

Result<Json> import_dmabuf(Clients& clients, int fd, const std::string& path, bool writable,
                           const std::string& format) {
  Json request{{"op", "import"}, {"fd", 0}, {"writable", writable}};
  if (!format.empty()) request["format"] = format;
  return make_file(clients, path, std::move(request), {&fd, 1});
}

Result<Json> create_picture(Clients& clients, const std::string& path, const std::string& format) {
  return make_file(clients, path, {{"op", "create"}, {"format", format}});
}

Result<Json> set_format(Clients& clients, const std::string& path, const std::string& format) {
  const auto mount = TRY(mount_of(path));
  const UniqueFd file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!file) return path_error(errno, path);
  Json request{{"op", "format"}, {"format", format.empty() ? Json() : Json(format)}};
  auto answer = TRY(ask(clients, mount, path, file, std::move(request)));
  return std::move(answer.body);
}

}  // namespace dmabuffs
