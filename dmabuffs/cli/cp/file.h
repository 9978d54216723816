// SPDX-License-Identifier: MIT
/// Copies one file for `dmabuffs cp`: through the daemon of the mount that one side lies in, else by itself.
#pragma once
#include <sys/stat.h>

#include <map>
#include <set>
#include <string>
#include <vector>

#include "dmabuffs/cli/commands.h"
#include "dmabuffs/cli/cp/local.h"
#include "dmabuffs/cli/output.h"
#include "dmabuffs/control/client.h"

namespace dmabuffs::cli {

/// What a copy did, summed over files.
struct CopyTally {
  struct Why {
    std::string path, why;
    uint64_t bytes = 0;
  };
  uint64_t bytes = 0;
  std::map<std::string, uint64_t> paths;
  std::vector<Why> reasons;
  std::string refusal;  ///< why a file was read and written here; empty: it was not

  void add_path(const std::string& path, uint64_t count);
  void add_reason(const Why& reason);
  /// From the daemon's reply.
  void add_reply(const Json& reply);
  void add(const CopyTally& other);
};

/// Gives `fd` the owner and group of `from`, as far as allowed, like cp -p by an ordinary user. Returns the
/// mode it may have then: without setuid and setgid where the owner is another, for they would give that
/// owner's rights, not the source's owner's.
mode_t mode_after_chown(int fd, const struct stat& from);

/// Why no file `name` could be made. In a mount only heaps and files/ take new files; of the rest the kernel
/// says no more than EPERM.
Failure not_created(int code, const std::string& name);

class FileCopier {
 public:
  FileCopier(CopyOptions options, std::vector<MountEntry> mounts)
      : options_(options), mounts_(std::move(mounts)) {}

  /// Copies the file `from` to the name `to`; a regular file there is overwritten. After an error `tally`
  /// tells what was stored all the same. EINTR: a signal came, see signal().
  Result<void> copy(const std::string& from, const std::string& to, CopyTally& tally);
  /// The signal that ended the last copy; 0: none.
  [[nodiscard]] int signal() const { return signal_; }

 private:
  struct Side {
    std::string name;
    UniqueFd fd;
    struct stat st {};
    const MountEntry* mount = nullptr;
    bool created = false;
    /// Something the daemon may transfer: a regular file or a block device.
    [[nodiscard]] bool has_ranges() const { return S_ISREG(st.st_mode) || S_ISBLK(st.st_mode); }
  };
  struct Passed {  // descriptors of one request
    std::vector<UniqueFd> owned;
    std::vector<int> fds;
    uint64_t add(UniqueFd fd);
  };

  Result<Side> open_source(const std::string& name);
  Result<Side> open_destination(const std::string& name, const Side& from);
  Result<void> look(Side& side);
  Result<void> check_overwrite(const struct stat& to, const std::string& name, const Side& from) const;
  Result<void> move(Side& from, Side& to, CopyTally& tally);
  /// What the mount tells of a file that is open; null: it is no buffer.
  Json about(const Side& side);
  Result<void> check_room(const Side& from, const Side& to);
  Result<void> empty(Side& side, const Side& from);
  void take_back(Side& side);
  using Waiting = ControlClient::Waiting;
  Result<Message> ask(const MountEntry& mount, const Side& from, const Side& to, Json request,
                      const Waiting& waiting);
  [[nodiscard]] bool goes_otherwise(int code) const;
  Result<void> check_direct(const MountEntry& mount, const Side& from, const Side& to);
  Result<bool> through_daemon(const MountEntry& mount, const Side& from, const Side& to, CopyTally& tally);
  [[nodiscard]] bool worth_asking(const Side& from, const Side& to) const;
  Result<Json> end_for(const MountEntry& mount, const Side& side, Passed& passed);
  static Failure too_large(const Side& from, const Side& to);
  Result<void> by_itself(const Side& from, const Side& to, CopyTally& tally);
  Result<void> finish(const Side& from, Side& to);

  CopyOptions options_;
  std::vector<MountEntry> mounts_;
  Clients clients_;
  std::set<std::pair<dev_t, ino_t>> made_;  ///< destinations of this run
  int signal_ = 0;
};

}  // namespace dmabuffs::cli
