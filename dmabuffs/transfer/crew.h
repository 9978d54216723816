// SPDX-License-Identifier: MIT
#pragma once
#include <condition_variable>
#include <functional>
#include <list>
#include <mutex>
#include <thread>
#include <vector>

namespace dmabuffs {

/// Threads that help those who have bytes to move. Who calls run() works himself, so that a copy always gets
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
  /// false) at once; returns when all have left it. `work` shares the job out among its callers itself and
  /// must not throw.
  void run(unsigned workers, const std::function<void(bool leader)>& work);

 private:
  struct Job {
    const std::function<void(bool)>* work;
    unsigned wanted;       // helpers that may still join
    unsigned working = 0;  // helpers that are in it
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

}  // namespace dmabuffs
