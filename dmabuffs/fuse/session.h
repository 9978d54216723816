// SPDX-License-Identifier: MIT
/// The FUSE session of one mount: takes requests, calls one node or open file each, answers.
#pragma once
#include <functional>
#include <list>
#include <memory>
#include <string>

#include "dmabuffs/base/cancel.h"
#include "dmabuffs/fuse/blocking_pool.h"
#include "dmabuffs/fuse/fuse_version.h"
#include "dmabuffs/fuse/node_table.h"
#include "dmabuffs/fuse/reply_memory.h"
#include "dmabuffs/tree/heaps/heaps.h"
#include "dmabuffs/tree/mount.h"
#include "dmabuffs/tree/passthrough.h"

namespace dmabuffs {

class Session {
 public:
  /// Threads that read requests. Each costs a request buffer and a reply buffer of 1 MiB, and the daemon
  /// promises to stay small; what waits runs in the pools.
  static constexpr unsigned kWorkers = 8;
  static constexpr unsigned kMaxRequest = 1u << 20;  ///< bytes of a read or write
  /// Writes of one user that wait, each with its bytes; more are refused.
  static constexpr size_t kMostDataQueued = 64;

  /// Builds the tree; mounts nothing yet.
  static Result<std::unique_ptr<Session>> make(MountContext& context);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  /// Mounts; the kernel may send requests from now on, which wait until serve().
  Result<void> mount();
  /// Answers requests until unmounted or told to end by SIGINT, SIGTERM or SIGHUP (both are success). `ready`
  /// is called when the kernel has agreed on the protocol, so the mount is usable.
  Result<void> serve(std::function<void()> ready);
  /// Takes the mount away (lazily) and cancels what runs. Called by the destructor too.
  void unmount();

  // For the operations (fuse/operations.cpp and its neighbours).
  [[nodiscard]] MountContext& context() { return context_; }
  [[nodiscard]] NodeTable& nodes() { return *nodes_; }
  [[nodiscard]] OpenHandles& handles() { return handles_; }
  [[nodiscard]] Passthrough& passthrough() { return context_.passthrough; }
  /// For work that waits: for a fence, a lease, an allocation, the host.
  [[nodiscard]] BlockingPool& waiting() { return waiting_; }
  /// For what waits while the kernel holds a directory: `name_callback`.
  [[nodiscard]] BlockingPool& names() { return names_; }
  /// For transfers.
  [[nodiscard]] BlockingPool& transfers() { return transfers_; }
  [[nodiscard]] Seats& seats() { return seats_; }
  [[nodiscard]] ReplyMemory& reply_memory() { return reply_memory_; }
  [[nodiscard]] const std::shared_ptr<HeapsRoot>& heaps() { return heaps_; }
  void initialised(fuse_conn_info* connection) noexcept;
  /// Of what may take long, which is registered, so that unmount() can cancel it.
  std::shared_ptr<CancelToken> new_cancel_token();

 private:
  explicit Session(MountContext& context);
  Result<void> build_tree();
  Result<void> create_fuse();
  void agree(fuse_conn_info* connection);

  MountContext& context_;
  std::shared_ptr<HeapsRoot> heaps_;
  std::unique_ptr<NodeTable> nodes_;
  OpenHandles handles_;  // after the nodes, which they use
  ReplyMemory reply_memory_{kMaxRequest, kWorkers};
  Seats seats_;
  BlockingPool waiting_{{.threads = 64, .owner = context_.owner_uid, .kept = 8}};
  BlockingPool names_{{.threads = 32, .owner = context_.owner_uid}};
  BlockingPool transfers_{{.threads = 16, .owner = context_.owner_uid}};
  std::unique_ptr<fuse_session, decltype(&fuse_session_destroy)> fuse_{nullptr, &fuse_session_destroy};
  std::mutex telling_;    ///< held while the kernel is told what it did not ask for
  bool mounted_ = false;  ///< written with telling_ held once there are threads
  bool refused_ = false;  ///< at INIT
  std::function<void()> ready_;
  std::mutex mutex_;
  std::list<std::weak_ptr<CancelToken>> running_;
  bool ending_ = false;  ///< guarded by mutex_
};

}  // namespace dmabuffs
