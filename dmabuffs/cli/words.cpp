// SPDX-License-Identifier: MIT
/// The words of a command line made safe for CLI11.
#include <algorithm>
#include <array>
#include <string_view>
#include <vector>

#include "dmabuffs/base/edits.h"
#include "dmabuffs/cli/commands.h"

namespace dmabuffs::cli {

namespace {

/// The options of `dmabuffs exec` whose value may be the next word.
constexpr std::array<std::string_view, 4> kExecValues{"--files", "--heap", "--heap-if-present", "-o"};

/// Whether plain cp is what to use, and direct between files/ and heaps/ with that option, too.
enum class Plain { No, Yes, Direct };

/// An option of cp(1) that `dmabuffs cp` lacks.
struct CpOption {
  char letter;  ///< 0: it has none
  std::string_view name, instead;
  Plain plain = Plain::Direct;
};
constexpr std::array<CpOption, 27> kOnlyInCp{{
    {'a', "--archive", "use -rp, which keeps modes, owners, times and symbolic links, or "},
    {'n', "--no-clobber", "a destination is overwritten; to keep it, use "},
    {'i', "--interactive", "a destination is overwritten; to be asked, use "},
    {'u', "--update", "a destination is overwritten, however new; to keep newer ones, use "},
    {'b', "--backup", "a destination is overwritten; to keep what it was, use "},
    {'S', "--suffix", "a destination is overwritten; to keep what it was, use "},
    {0, "--remove-destination", "a destination is overwritten; to make it anew, use "},
    {'t', "--target-directory", "name the directory last: dmabuffs cp SRC... DIR", Plain::No},
    {'T', "--no-target-directory",
     "a destination that is a directory is copied into; for the other way use "},
    {0, "--parents", "the directories that lead to a source are not made; for that use "},
    {0, "--preserve=", "-p keeps mode, owner and times; for another choice use "},
    {0, "--no-preserve", "-p keeps mode, owner and times; for another choice use "},
    {0, "--sparse", "holes become zeros; to keep them, use ", Plain::Yes},
    {0, "--reflink", "host files share blocks where they can; for another way use ", Plain::Yes},
    {'d', "--no-dereference", "symbolic links are copied with -r and followed without; for another way use "},
    {'P', "--no-dereference", "symbolic links are copied with -r and followed without; for another way use "},
    {'L', "--dereference", "symbolic links are copied with -r and followed without; for another way use "},
    {'H', "", "symbolic links are copied with -r and followed without; for another way use "},
    {'l', "--link", "a buffer has one name; for host files use ", Plain::Yes},
    {'s', "--symbolic-link", "files are copied; for symbolic links, in a heap, too, use ", Plain::Yes},
    {'x', "--one-file-system", "use "},
    {'Z', "--context", "use "},
    {0, "--copy-contents", "use "},
    {0, "--strip-trailing-slashes", "use "},
    {0, "--attributes-only", "use ", Plain::Yes},
    {0, "--keep-directory-symlink", "use ", Plain::Yes},
    {0, "--debug", "-v tells the path that was taken", Plain::No},
}};

bool is_named(const CpOption& option, const std::string& word) {
  if (option.name.ends_with('=')) return word.starts_with(option.name);
  if (word.starts_with("--")) return !option.name.empty() && word.substr(0, word.find('=')) == option.name;
  return word.starts_with("-") && option.letter != 0 && word.find(option.letter) != std::string::npos;
}

std::string advice(const CpOption& option, const std::string& word) {
  const std::string shown = word.starts_with("--") ? word : std::string{'-', option.letter};
  std::string text = "there is no option " + shown + "; " + std::string(option.instead);
  if (option.plain != Plain::No) text += "plain `cp " + shown + "`";
  if (option.plain == Plain::Direct) text += ", which is direct, too, between files/ and heaps/ of one mount";
  return text;
}

}  // namespace

std::string nearest(const std::string& word, const std::vector<std::string>& known) {
  std::string best;
  size_t least = 3;
  for (const std::string& each : known) {
    const size_t wrong = edits_between(word.substr(0, 32), each);
    // Of a short word, half of it may be wrong in another one.
    if (wrong >= least || wrong * 2 >= each.size()) continue;
    least = wrong;
    best = each;
  }
  return best;
}

std::vector<std::string> cut_command(std::vector<std::string>& words,
                                     const std::function<bool(const std::string&)>& is_buffer) {
  if (words.empty() || words.front() != "exec") return {};
  // As with env(1) and sudo(8) it begins at the first word that is no option.
  auto word = words.begin() + 1;
  for (bool value = false; word != words.end(); ++word) {
    if (!value && (*word == "--" || !word->starts_with("-"))) break;
    value = !value && std::find(kExecValues.begin(), kExecValues.end(), *word) != kExecValues.end();
  }
  const auto mark = std::find(word, words.end(), "--");
  const bool handed = std::find(words.begin(), word, "--fd") != word;
  if (mark != words.end() && (handed || (mark != word && is_buffer(*word)))) word = mark;
  const bool marked = word == mark && word != words.end();
  std::vector<std::string> command(word + (marked ? 1 : 0), words.end());
  words.erase(word, words.end());
  return command;
}

std::optional<std::string> advice_on_cp(const std::vector<std::string>& words) {
  if (words.empty() || words.front() != "cp") return std::nullopt;
  for (auto word = words.begin() + 1; word != words.end() && *word != "--"; ++word)
    for (const CpOption& option : kOnlyInCp)
      if (is_named(option, *word)) return advice(option, *word);
  return std::nullopt;
}

void guard_operands(std::vector<std::string>& words) {
  const auto mark = std::find(words.begin(), words.end(), "--");
  for (auto word = words.begin(); word != words.end(); ++word)
    if (word->starts_with("[") || (word > mark && word->starts_with("-"))) word->insert(0, "./");
  if (mark != words.end()) words.erase(mark);
}

}  // namespace dmabuffs::cli
