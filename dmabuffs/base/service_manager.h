// SPDX-License-Identifier: MIT
/// The service manager that started this program, by its protocol: sd_notify(3), sd_listen_fds(3).
#pragma once
#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "dmabuffs/base/result.h"
#include "dmabuffs/base/unique_fd.h"

namespace dmabuffs {

class ServiceManager {
 public:
  /// How long one that reads no messages keeps a caller waiting; the next ones don't wait until it reads
  /// again.
  static constexpr std::chrono::seconds kPatience{5};

  /// That of the environment ($NOTIFY_SOCKET), or none.
  ServiceManager();

  /// How many descriptors it stores for this process ($FDSTORE, systemd.exec(5)); 0: none.
  [[nodiscard]] uint64_t room() const { return room_; }

  /// Sends a message, and with it a duplicate of `fd`, if that is one. ENOTCONN: there is no manager.
  Result<void> tell(const std::string& message, int fd = -1);

  struct Stored {
    UniqueFd fd;
    std::string name;
  };
  /// What it has given back to this process, close on exec. To be called once: programs that are started
  /// later don't hear of it.
  static std::vector<Stored> take_stored();

 private:
  std::string path_;  ///< as for bind(2)
  UniqueFd socket_;
  uint64_t room_ = 0;
  bool patient_ = true;
};

}  // namespace dmabuffs
