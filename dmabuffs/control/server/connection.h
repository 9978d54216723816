// SPDX-License-Identifier: MIT
/// What the control socket tells about the mount (docs/json.md).
/// One client of the control socket, behind its door (control/server/door.h): takes requests one after the
/// other and answers each.
#pragma once
#include "dmabuffs/control/message.h"
#include "dmabuffs/control/server/control.h"
#include "dmabuffs/control/server/copy.h"
#include "dmabuffs/tree/describe.h"
#include "dmabuffs/tree/heaps/heaps.h"

namespace dmabuffs {

/// The text of the mount's `status` file as `caller` would read it.
Result<std::string> read_status(const ControlSocket::FindNode& find, const Caller& caller);

class ControlConnection {
 public:
  /// `stop` (borrowed) becomes readable when the mount ends.
  ControlConnection(MountContext& context, const ControlSocket::FindNode& find, UniqueFd socket, Peer peer,
                    int stop)
      : context_(context), find_(find), socket_(std::move(socket)), peer_(peer), stop_(stop) {}

  /// Until the client closes, stays silent too long, or the mount ends. A lack of memory ends it, and is
  /// told.
  void serve();

 private:
  enum class Wake { Message, Timeout, Ended };
  /// Waits for a message, or `event` (>= 0) becoming readable, which counts as a timeout.
  [[nodiscard]] Wake wait(int event, int milliseconds) const;
  void answer_all();
  Result<Message> next();
  bool answer(Message message);  // false: the connection is of no more use
  bool reply(const Json& body, std::span<const int> fds = {});
  bool copy(Message message);
  bool watch(ControlCopy& running, bool progress);
  bool hear(ControlCopy& running);
  bool about_buffer(const std::string& operation, Message message);
  bool status();
  bool hello();
  [[nodiscard]] ControlScope scope() const { return {context_, find_, peer_}; }

  MountContext& context_;
  const ControlSocket::FindNode& find_;
  UniqueFd socket_;
  Peer peer_;
  int stop_;
};

}  // namespace dmabuffs
