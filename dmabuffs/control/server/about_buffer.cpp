// SPDX-License-Identifier: MIT
#include "dmabuffs/control/server/about_buffer.h"

#include <fcntl.h>

#include <algorithm>
#include <array>

#include "dmabuffs/tree/describe.h"
#include "dmabuffs/tree/heaps/buffer_file.h"

namespace dmabuffs {

namespace {

/// The file a request is about, as the client has it open.
struct Asked {
  Tickets::OpenedFile file;
  Message message;

  /// It, open so; who has it so was let by the kernel. O_WRONLY: for reading, too, or not.
  Result<BufferFile*> buffer_open(int wanted) {
    const int mode = file.flags & O_ACCMODE;
    if (wanted == O_RDWR && mode != O_RDWR)
      return fail(EBADF, "\"ticket\": the file is not open for reading and writing");
    if (mode == O_RDONLY) return fail(EBADF, "\"ticket\": the file is not open for writing");
    auto* buffer = dynamic_cast<BufferFile*>(file.node.get());
    if (buffer == nullptr) return fail(EINVAL, "not a buffer: those are the files below heaps/");
    return buffer;
  }
};

Result<Answer> info(Asked& /*asked*/) {
  return Answer{};
}

/// A dma-buf can be mapped writable whatever its descriptor's mode.
Result<Answer> descriptor(Asked& asked) {
  auto* buffer = TRY(asked.buffer_open(O_RDWR));
  auto handed = TRY(buffer->hand_out(flag_of(asked.message.body, "huge"), *asked.file.open));
  return Answer{{{"moved", handed.moved}}, std::move(handed.fd)};
}

/// "format" is image::to_text(), or null where nobody is to say any more.
Result<Answer> format(Asked& asked) {
  auto* buffer = TRY(asked.buffer_open(O_WRONLY));
  const auto text = text_of(asked.message.body, "format");
  std::optional<KnownPicture> known;
  if (text) known = KnownPicture{TRY(image::from_text(*text)), false};
  if (known) TRY(image::check_fits(known->picture, buffer->info().size));
  TRY(buffer->set_picture(known));
  return Answer{};
}

Result<Answer> create(Asked& asked) {
  auto* buffer = TRY(asked.buffer_open(O_WRONLY));
  const auto words = TRY(image::words_from(text_of(asked.message.body, "format").value_or("")));
  TRY(buffer->create_picture(words));
  return Answer{};
}

/// The door has seen that what came is dma-bufs.
Result<Answer> import(Asked& asked) {
  auto* buffer = TRY(asked.buffer_open(O_WRONLY));
  const auto index = number_of(asked.message.body, "fd");
  if (!index || *index >= asked.message.fds.size())
    return fail(EINVAL, "\"fd\": must be the index of a descriptor passed with the message");
  TRY(buffer->import(std::move(asked.message.fds[*index]), flag_of(asked.message.body, "writable")));
  if (text_of(asked.message.body, "format")) return format(asked);
  return Answer{};
}

struct Question {
  std::string_view name;
  Result<Answer> (*run)(Asked&);
};
constexpr std::array<Question, 5> kQuestions{
    {{"info", info}, {"descriptor", descriptor}, {"import", import}, {"create", create}, {"format", format}}};

const Question* find_question(std::string_view name) {
  const auto* const found = std::ranges::find(kQuestions, name, &Question::name);
  return found == kQuestions.end() ? nullptr : found;
}

}  // namespace

bool is_about_buffer(std::string_view operation) {
  return find_question(operation) != nullptr;
}

Result<Answer> answer_about_buffer(std::string_view operation, const ControlScope& scope, Message message) {
  const auto file = message.body.find("file");
  auto named = TRY(named_file(scope, file == message.body.end() ? Json() : *file));
  Asked asked{std::move(named), std::move(message)};
  Answer answer = TRY(find_question(operation)->run(asked));
  Json about = TRY(describe(*asked.file.node, scope.peer.caller()));
  if (operation == "info")
    about = {{"info", std::move(about)}};
  else
    scope.context.changed_unasked(*asked.file.node);
  about["ok"] = true;
  if (!answer.body.is_null()) about.update(answer.body);
  answer.body = std::move(about);
  return answer;
}

}  // namespace dmabuffs
