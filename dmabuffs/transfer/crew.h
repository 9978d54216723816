// SPDX-License-Identifier: MIT
/// Several threads at one part: who they are, and how they share it out.
#pragma once
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <list>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "dmabuffs/base/cancel.h"
#include "dmabuffs/base/range.h"
#include "dmabuffs/base/result.h"

namespace dmabuffs {

/// Threads that help those who have bytes to move. Who calls run() works too, so that a copy always gets
/// on, however many run at once; helpers join where there are free ones.
class Crew {
 public:
  /// `helpers` threads, started on first use (a daemon may fork before it).
  explicit Crew(unsigned helpers) : helpers_(helpers) {}
  ~Crew();
  Crew(const Crew&) = delete;
  Crew& operator=(const Crew&) = delete;

  /// Threads that work on one run() at most, the caller included.
  [[nodiscard]] unsigned size() const { return helpers_ + 1; }

  /// Runs `work(leader)` on the calling thread (leader true) and on up to `workers` - 1 helpers (leader
  /// false) at once; returns when all have left it, or throws then what one of them threw. `work` shares the
  /// job out among its callers itself.
  void run(unsigned workers, const std::function<void(bool leader)>& work);

 private:
  struct Job {
    const std::function<void(bool)>* work;
    unsigned wanted;       // helpers that may still join
    unsigned working = 0;  // helpers that are in it
    std::exception_ptr thrown;
  };
  void start_threads();
  void help();

  const unsigned helpers_;
  std::mutex mutex_;
  std::condition_variable job_added_, helper_left_;
  std::list<Job*> jobs_;  // that want helpers, oldest first
  std::vector<std::thread> threads_;
  bool closing_ = false;
};

/// What a path did with a part.
struct Moved {
  enum class Refusal {
    None,
    File,    ///< the file turned out not to do direct I/O
    Memory,  ///< the memory turned out not to be pinnable
  };
  uint64_t bytes = 0;          ///< the prefix that was moved
  std::optional<Error> error;  ///< why no more; without one the source ended (or all is moved)
  Refusal refusal = Refusal::None;
  bool buffered = false;  ///< asked for directly, but the file system took them through the page cache
};

/// Hands a part out in chunks, in order, to several threads, and sums up what came of it. Thread-safe.
class Chunks {
 public:
  /// `length` bytes in chunks of `size`, cut where `phase` + offset is a multiple of `size`: `phase` is the
  /// file offset or address where the part starts.
  Chunks(uint64_t length, uint64_t phase, uint64_t size, const CancelToken* cancel)
      : length_(length), phase_(phase), size_(size), cancel_(cancel), stop_(length) {}

  /// The next chunk; nothing when all are taken, the copy was stopped before it or cancelled. Who takes one
  /// must move all of it or call stop().
  std::optional<Range> take();
  /// Bytes from `offset` on can't be moved: for `error`, or because the source ends there.
  void stop(uint64_t offset, std::optional<Error> error = std::nullopt,
            Moved::Refusal refusal = Moved::Refusal::None);
  /// True when what lies at `offset` can't count any more: something before it could not be moved.
  [[nodiscard]] bool stopped_before(uint64_t offset) const;
  /// To be asked when all takers have finished.
  [[nodiscard]] Moved moved() const;

 private:
  const uint64_t length_, phase_, size_;
  const CancelToken* const cancel_;
  mutable std::mutex mutex_;
  uint64_t next_ = 0;  // first byte not taken
  uint64_t stop_;      // lowest byte not moved
  bool cancelled_ = false;
  std::optional<Error> error_;
  Moved::Refusal refusal_ = Moved::Refusal::None;
};

/// The error of a copy that was cancelled.
Error cancelled_error();

}  // namespace dmabuffs
