// SPDX-License-Identifier: MIT
#include "dmabuffs/control/address.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>

namespace dmabuffs {

namespace {

constexpr int kBacklog = 64;
constexpr timeval kPatience{10, 0};               // a stopped daemon takes no connection
constexpr std::string_view kUnfinished = ".new";  // bound, but not yet listening

std::pair<std::string, std::string> split(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return {".", path};
  return {path.substr(0, slash + 1), path.substr(slash + 1)};
}

/// A socket's address has room for 107 bytes; a longer path is named through a descriptor of its directory.
class Address {
 public:
  static Result<Address> of(const std::string& path) {
    Address address;
    std::string name = path;
    if (name.size() >= sizeof address.un_.sun_path) {
      const auto [directory, file] = split(path);
      address.directory_.reset(::open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
      if (!address.directory_) return fail_errno(errno, directory);
      name = "/proc/self/fd/" + std::to_string(address.directory_.get()) + "/" + file;
    }
    if (name.size() >= sizeof address.un_.sun_path) return fail_errno(ENAMETOOLONG, path);
    address.un_.sun_family = AF_UNIX;
    std::memcpy(address.un_.sun_path, name.c_str(), name.size() + 1);
    return address;
  }
  [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&un_); }
  static constexpr socklen_t size() { return sizeof(sockaddr_un); }

 private:
  sockaddr_un un_{};
  UniqueFd directory_;
};

Result<UniqueFd> new_socket(int flags) {
  UniqueFd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | flags, 0));
  if (!fd) return fail_errno(errno, "control socket");
  return fd;
}

/// What connect(2) says without waiting: 0, EAGAIN (busy), ECONNREFUSED (its daemon is dead), ENOENT, …
int knock(const std::string& path) {
  auto fd = new_socket(SOCK_NONBLOCK);
  auto address = Address::of(path);
  if (!fd || !address) return !fd ? fd.error().code : address.error().code;
  return ::connect(fd->get(), address->get(), Address::size()) == 0 ? 0 : errno;
}

bool answers(const std::string& path) {
  const int said = knock(path);
  return said == 0 || said == EAGAIN;
}

/// Whoever can write the directory could put another socket in our place, so it must be ours and closed to
/// others.
Result<void> own_directory(const std::string& path, mode_t mode) {
  if (::mkdir(path.c_str(), mode) != 0 && errno != EEXIST) return fail_errno(errno, path);
  struct stat st {};
  if (::lstat(path.c_str(), &st) != 0) return fail_errno(errno, path);
  if (!S_ISDIR(st.st_mode) || st.st_uid != ::geteuid() || (st.st_mode & 022) != 0)
    return fail(EPERM, path + ": is not a directory that only this user can write; remove it");
  // The umask may have cut bits that other users need to reach the socket.
  if ((st.st_mode & mode) != mode && ::chmod(path.c_str(), mode) != 0) return fail_errno(errno, path);
  return {};
}

/// A daemon that was killed could not remove its socket, and its mount point may never be used again.
void remove_dead_sockets(const std::string& directory) {
  std::error_code failed, vanished;
  for (std::filesystem::directory_iterator entry(directory, failed), end; !failed && entry != end;
       entry.increment(failed)) {
    const std::string path = entry->path().string();
    if (!path.ends_with(kUnfinished) && entry->is_socket(vanished) && knock(path) == ECONNREFUSED)
      ::unlink(path.c_str());
  }
}

Result<ListeningSocket> bind_in(const std::string& directory, const std::string& mountpoint,
                                bool for_others) {
  ListeningSocket made;
  made.path = directory + "/" + socket_name(mountpoint);
  if (answers(made.path)) made.path += "-" + std::to_string(::getpid());
  // Bound under a name of its own and renamed, so that a reader of the final name never meets a socket that
  // does not listen yet, and a dead one is replaced at once.
  const std::string fresh = made.path + std::string(kUnfinished);
  ::unlink(fresh.c_str());
  auto fd = TRY(new_socket(SOCK_NONBLOCK));
  auto address = TRY(Address::of(fresh));
  struct stat st {};
  if (::bind(fd.get(), address.get(), Address::size()) != 0) return fail_errno(errno, fresh);
  if (::chmod(fresh.c_str(), for_others ? 0666 : 0600) != 0 || ::listen(fd.get(), kBacklog) != 0 ||
      ::lstat(fresh.c_str(), &st) != 0 || ::rename(fresh.c_str(), made.path.c_str()) != 0) {
    const int code = errno;
    ::unlink(fresh.c_str());
    return fail_errno(code, made.path);
  }
  made.fd = std::move(fd);
  made.device = st.st_dev;
  made.inode = st.st_ino;
  return made;
}

}  // namespace

namespace {

std::string shared_directory(uid_t owner) {
  return "/tmp/dmabuffs-" + std::to_string(owner);
}

/// Those that other users can reach.
std::vector<std::string> shared_directories(uid_t owner) {
  const std::string first = shared_directory(owner);
  std::vector<std::string> found{first};
  std::error_code failed;
  for (std::filesystem::directory_iterator entry("/tmp", failed), end; !failed && entry != end;
       entry.increment(failed)) {
    const std::string path = entry->path().string();
    struct stat st {};
    if (path.starts_with(first + ".") && ::lstat(path.c_str(), &st) == 0 &&
        (st.st_uid == owner || st.st_uid == 0))
      found.push_back(path);
  }
  return found;
}

Result<ListeningSocket> listen_in(const std::string& directory, const std::string& mountpoint, uid_t owner,
                                  bool for_others) {
  TRY(own_directory(directory, for_others || owner == 0 ? 0755 : 0700));
  remove_dead_sockets(directory);
  return bind_in(directory, mountpoint, for_others);
}

}  // namespace

std::vector<std::string> socket_directories(uid_t owner) {
  const std::string uid = std::to_string(owner);
  std::vector<std::string> found;
  if (owner == 0) found.emplace_back("/run/dmabuffs");
  const char* runtime = owner == ::geteuid() ? std::getenv("XDG_RUNTIME_DIR") : nullptr;
  if (runtime && runtime[0] == '/') found.push_back(std::string(runtime) + "/dmabuffs");
  const std::string usual = "/run/user/" + uid + "/dmabuffs";
  if (owner != 0 && std::find(found.begin(), found.end(), usual) == found.end()) found.push_back(usual);
  const auto shared = shared_directories(owner);
  found.insert(found.end(), shared.begin(), shared.end());
  return found;
}

std::string socket_name(const std::string& mountpoint) {
  constexpr size_t kReadable = 40;
  std::string name;
  for (const char c : mountpoint) {
    const bool plain = std::isalnum(static_cast<unsigned char>(c)) || c == '.' || c == '_';
    if (plain || (!name.empty() && name.back() != '-')) name += plain ? c : '-';
  }
  if (name.size() > kReadable) name = name.substr(name.size() - kReadable);
  uint64_t hash = 0xcbf29ce484222325;  // FNV-1a
  for (const char c : mountpoint) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  char digits[17];
  std::snprintf(digits, sizeof digits, "%016llx", static_cast<unsigned long long>(hash));
  return name + "-" + digits + ".sock";
}

std::string control_socket_path(const std::string& mountpoint, uid_t owner) {
  return socket_directories(owner).front() + "/" + socket_name(mountpoint);
}

Result<ListeningSocket> listen_at(const std::string& mountpoint, uid_t owner, bool for_others) {
  // A user's runtime directory is closed to others: the socket that others may use can't be in it.
  const bool shared = for_others && owner != 0;
  for (const std::string& directory : shared ? shared_directories(owner) : socket_directories(owner))
    if (auto made = listen_in(directory, mountpoint, owner, for_others)) return made;
  std::string fresh = shared_directory(owner) + ".XXXXXX";
  if (::mkdtemp(fresh.data()) == nullptr) return fail_errno(errno, fresh);
  auto made = listen_in(fresh, mountpoint, owner, for_others);
  if (!made) ::rmdir(fresh.c_str());
  return made;
}

void remove_socket(const ListeningSocket& socket) {
  struct stat st {};
  if (::lstat(socket.path.c_str(), &st) == 0 && st.st_dev == socket.device && st.st_ino == socket.inode)
    ::unlink(socket.path.c_str());
}

Result<UniqueFd> connect_to(const std::string& path) {
  auto fd = new_socket(0);
  if (!fd) return fd;
  auto address = TRY(Address::of(path));
  ::setsockopt(fd->get(), SOL_SOCKET, SO_SNDTIMEO, &kPatience, sizeof kPatience);
  if (::connect(fd->get(), address.get(), Address::size()) != 0) return fail_errno(errno, path);
  return fd;
}

}  // namespace dmabuffs
