// SPDX-License-Identifier: MIT
/// The mount's control socket (docs/control-socket.md): transfers for clients outside the mount, and `info`.
#pragma once
#include <functional>
#include <memory>
#include <string>

#include "dmabuffs/tree/mount.h"
#include "dmabuffs/tree/node.h"

namespace dmabuffs {

class ControlSocket {
 public:
  using FindNode = std::function<NodePtr(uint64_t ino)>;
  /// Binds and listens; threads start with start() (after the daemon's fork). `find` maps the number of a
  /// node to it.
  static Result<std::unique_ptr<ControlSocket>> make(MountContext& context, FindNode find);
  virtual ~ControlSocket() = default;
  virtual void start() = 0;
  /// Cancels what runs, closes, removes the socket file.
  virtual void stop() = 0;
  [[nodiscard]] virtual const std::string& path() const = 0;
};

}  // namespace dmabuffs
