// SPDX-License-Identifier: MIT
/// One client of the control socket: takes requests one after the other and answers each.
#pragma once
#include "dmabuffs/fs/control_copy.h"
#include "dmabuffs/fs/descriptor_gate.h"

namespace dmabuffs {

class ControlConnection {
 public:
  /// `stop` (borrowed) becomes readable when the mount ends.
  ControlConnection(MountContext& context, const ControlSocket::FindNode& find, DescriptorGate& gate,
                    UniqueFd socket, Peer peer, int stop)
      : context_(context),
        find_(find),
        gate_(gate),
        socket_(std::move(socket)),
        peer_(std::move(peer)),
        stop_(stop) {}

  ~ControlConnection();
  ControlConnection(const ControlConnection&) = delete;
  ControlConnection& operator=(const ControlConnection&) = delete;

  /// Until the client closes, stays silent too long, or the mount ends.
  void serve();

 private:
  enum class Wake { Message, Timeout, Ended };
  /// Waits for a message, or `event` (>= 0) becoming readable, which counts as a timeout.
  [[nodiscard]] Wake wait(int event, int milliseconds) const;
  Result<std::optional<Message>> next(bool files_wanted);
  bool answer(Message message);  // false: the connection is of no more use
  bool reply(const Json& body, std::span<const int> fds = {});
  bool copy(Message message);
  bool watch(ControlCopy& running, bool progress);
  bool hear(ControlCopy& running);
  bool info(const Message& message);
  bool status();
  bool hello();
  [[nodiscard]] ControlScope scope() const { return {context_, find_, peer_}; }

  MountContext& context_;
  const ControlSocket::FindNode& find_;
  DescriptorGate& gate_;
  UniqueFd socket_;
  Peer peer_;
  int stop_;
};

}  // namespace dmabuffs
