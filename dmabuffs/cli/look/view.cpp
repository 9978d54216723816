// SPDX-License-Identifier: MIT
/// `dmabuffs view FILE`: the picture in a file, as a PNG or on the terminal.
#include <unistd.h>

#include <csignal>

#include "dmabuffs/cli/commands.h"
#include "dmabuffs/cli/look/choice.h"
#include "dmabuffs/cli/look/colours.h"
#include "dmabuffs/cli/look/source.h"
#include "dmabuffs/cli/look/terminal.h"
#include "dmabuffs/control/hand_out.h"
#include "dmabuffs/control/way.h"

namespace dmabuffs::cli {

namespace {

/// Of a pipe what the picture takes, where that is known; else all.
Result<void> take_in(Source& source, const ViewOptions& options) {
  if (source.size()) return {};
  std::optional<uint64_t> most;
  if (const auto picture = image::make_picture(options.picture, image::Padding::None);
      picture && options.frame < Source::kMostHeld / picture->end())
    most = options.frame * frame_bytes(*picture) + picture->end();
  return source.hold(most);
}

Result<void> show(const Source& source, const image::Picture& picture, const image::Look& look,
                  const ViewOptions& options) {
  TRY(check_readable(picture, source, options.frame));
  const uint64_t offset = options.frame * frame_bytes(picture);
  if (!options.output.empty()) return write_png(picture, source.reader(offset), look, options.output);
  const auto terminal = TRY(terminal_at(STDOUT_FILENO));
  return draw(terminal, picture, source.reader(offset), look);
}

bool is_buffer(const std::string& path) {
  Clients clients;
  return path != "-" && lies_in_mount(path) && info_of(clients, path);
}

}  // namespace

int run_view(const ViewOptions& options) {
  const bool on_terminal = ::isatty(STDOUT_FILENO) == 1;
  if (options.output.empty() && !on_terminal)
    return misuse("view", "where to? -o OUT.png, or -o - for standard output");
  if (options.output == "-" && on_terminal)
    return misuse("view", "a PNG is not for the terminal: -o OUT.png, or leave -o out to see the picture");
  auto source = Source::open(options.file);
  if (!source) return report(source.error().message);
  if (source->is(options.output))
    return report("'" + source->name() + "' and '" + options.output + "' are the same file");
  if (const auto taken = take_in(*source, options); !taken) return report(taken.error().message);
  const auto choice = choose_picture(*source, options.file, options.picture, false);
  if (!choice) return misuse("view", choice.error().message);
  if (!*choice)
    return misuse("view", source->name() + ": which picture? --format F --size WxH" +
                              (is_buffer(options.file)
                                   ? "; once for all: dmabuffs format --format F --size WxH " + options.file
                                   : ""));
  const image::Picture& picture = (*choice)->picture;
  const auto look = image::make_look(picture, options.colorspace, options.range, options.channel);
  if (!look) return misuse("view", look.error().message);
  const auto shown = show(*source, picture, *look, options);
  if (!shown && shown.error().code == EPIPE) return die_by(SIGPIPE);
  return shown ? 0 : report(shown.error().message);
}

}  // namespace dmabuffs::cli
