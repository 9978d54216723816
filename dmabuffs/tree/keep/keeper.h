// SPDX-License-Identifier: MIT
/// What of a mount is there again after this program has ended, however it did: descriptors, which the
/// service manager stores, and a list of names, which is one of them.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "dmabuffs/base/service_manager.h"
#include "dmabuffs/base/unique_fd.h"
#include "dmabuffs/heap/shares.h"
#include "dmabuffs/tree/keep/entry.h"
#include "dmabuffs/tree/keep/log.h"

namespace dmabuffs {

/// Thread-safe.
class Keeper {
 public:
  /// nullptr: no service manager stores anything for this program. `given`: what it has stored for the one
  /// before.
  static std::unique_ptr<Keeper> make(std::vector<ServiceManager::Stored> given, Budget& budget);

  /// A name as it is now, in place of what was said of its number before.
  void put(KeptEntry entry);
  void remove(uint64_t number);
  /// As long as it lives nothing is written, then all that was said at once.
  class Together {
   public:
    explicit Together(Keeper* keeper);
    ~Together();
    Together(const Together&) = delete;
    Together& operator=(const Together&) = delete;

   private:
    Keeper* const keeper_;
  };

  /// Has memory of `maker` stored; its number. 0: it could not be, of which the log tells: there is no room,
  /// or that user has a share of it.
  uint64_t store(int fd, const std::string& name, uid_t maker);
  /// After what was said before; nothing for 0.
  void drop(uint64_t memory);

  // What the program before has left. To be called before anything else.
  std::vector<KeptEntry> take_found() { return std::move(found_); }
  /// None: it is not there, or was taken before.
  UniqueFd take_memory(uint64_t memory, uid_t maker);
  /// Not for this program, but for the next one, under another number.
  void leave(KeptEntry entry);
  /// From now on the next program finds what was said to this one. Memory that nobody took or left goes.
  void begin();

  struct Figures {
    uint64_t descriptors = 0, limit = 0;
    uint64_t refused = 0;  ///< how often there was no room for memory
  };
  [[nodiscard]] Figures figures() const;

 private:
  Keeper(ServiceManager manager, KeptLog log, Budget& budget);
  // With mutex_ held:
  void write();
  /// Has `log` stored in place of what is.
  Result<void> switch_to(const KeptLog& log);
  Result<void> store_as(const std::string& name, int fd);
  void remove_stored(const std::string& name);

  mutable std::mutex mutex_;
  ServiceManager manager_;
  KeptLog log_;
  uint64_t log_number_ = 0;  ///< under which it is stored; 0: not yet
  std::vector<std::string> old_logs_;
  std::vector<KeptEntry> unwritten_;
  std::vector<uint64_t> undropped_;
  bool begun_ = false;
  unsigned together_ = 0;
  uint64_t last_memory_ = 0;
  Figures figures_;
  Shares shares_;                       ///< of what is stored
  std::map<uint64_t, Share> share_of_;  ///< by the number of memory
  std::vector<KeptEntry> found_;
  std::map<uint64_t, UniqueFd> given_;
};

}  // namespace dmabuffs
