// SPDX-License-Identifier: MIT
/// What is asked of one file of the mount: info, descriptor, import, create and format.
#pragma once
#include <string>
#include <string_view>

#include "dmabuffs/base/unique_fd.h"
#include "dmabuffs/control/message.h"
#include "dmabuffs/control/server/end.h"

namespace dmabuffs {

struct Answer {
  Json body;
  UniqueFd fd;  ///< that goes with it, if any
};

bool is_about_buffer(std::string_view operation);
/// `message` is checked as docs/control-socket.md says; errors are for the client.
Result<Answer> answer_about_buffer(std::string_view operation, const ControlScope& scope, Message message);

}  // namespace dmabuffs
