// SPDX-License-Identifier: MIT
#include "dmabuffs/fuse/session.h"
#include "dmabuffs/tree/files/files.h"

#include <fcntl.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <thread>

#include "dmabuffs/base/log.h"
#include "dmabuffs/fuse/operations.h"
#include "dmabuffs/fuse/passthrough.h"
#include "dmabuffs/tree/attributes.h"
#include "dmabuffs/tree/static_directory.h"
#include "dmabuffs/tree/status.h"
#include "dmabuffs/tree/views/views.h"

namespace dmabuffs {

namespace {

void op_init(void* data, fuse_conn_info* connection) noexcept {
  static_cast<Session*>(data)->initialised(connection);
}

void log_from_libfuse(fuse_log_level level, const char* format, va_list arguments) {
  char text[1024];
  ::vsnprintf(text, sizeof text, format, arguments);
  std::string line(text);
  while (!line.empty() && line.back() == '\n') line.pop_back();
  if (line.empty()) return;
  level <= FUSE_LOG_ERR ? log_error(line) : level <= FUSE_LOG_WARNING ? log_warning(line) : log_debug(line);
}

bool is_descriptor_path(const std::string& path) {
  return path.starts_with("/dev/fd/");
}

/// For libfuse, which reads its options as a list with commas.
std::string escaped(const std::string& option) {
  std::string text;
  for (const char c : option) {
    if (c == ',' || c == '\\') text += '\\';
    text += c;
  }
  return text;
}

[[maybe_unused]] Passthrough::Kernel backings_of(int device) {
  return {[device](int fd) { return open_fuse_backing(device, fd); },
          [device](int id) { close_fuse_backing(device, id); }};
}

}  // namespace

Session::Session(MountContext& context) : context_(context) {
  context_.libfuse = ::fuse_pkgversion();
}

Result<std::unique_ptr<Session>> Session::make(MountContext& context) {
  std::unique_ptr<Session> session(new Session(context));
  TRY(session->build_tree());
  TRY(session->create_fuse());
  return session;
}

Result<void> Session::build_tree() {
  if (!context_.settings.files.empty() && is_descriptor_path(context_.settings.mountpoint))
    return fail(
        EINVAL,
        "--files: not together with drop_privileges, where the mount can't tell itself from the host");
  auto root = std::make_shared<StaticDirectory>(context_, FUSE_ROOT_ID, nullptr);
  heaps_ = make_heaps_root(context_);
  root->add("heaps", heaps_);
  root->add("status", make_status_node(context_, heaps_));
  root->add("views", make_views_root(context_, heaps_, root));
  if (!context_.settings.files.empty()) {
    auto files = std::make_shared<StaticDirectory>(context_, context_.numbers.next(), root);
    for (const FilesOption& option : context_.settings.files) {
      auto directory = TRY(make_files_root(context_, option));
      files->add(option.name, directory);
    }
    root->add("files", files);
  }
  nodes_ = std::make_unique<NodeTable>(root);
  return {};
}

Result<void> Session::create_fuse() {
  const MountSettings& settings = context_.settings;
  fuse_set_log_func(log_from_libfuse);

  std::string options = "fsname=" + escaped(settings.fsname) + ",subtype=dmabuffs,default_permissions";
  if (settings.allow_other) options += ",allow_other";
  if (settings.allow_root) options += ",allow_root";
  if (settings.read_only) options += ",ro";
  if (settings.auto_unmount) options += ",auto_unmount";
  for (const std::string& option : settings.fuse_options) options += "," + escaped(option);
  std::vector<std::string> words{"dmabuffs", "-o", options};
  if (settings.debug) words.emplace_back("-d");
  std::vector<char*> argv;
  argv.reserve(words.size());
  for (std::string& word : words) argv.push_back(word.data());
  fuse_args arguments = FUSE_ARGS_INIT(static_cast<int>(argv.size()), argv.data());

  fuse_lowlevel_ops ops{};
  ops.init = op_init;
  add_name_operations(ops, settings.xattr);
  add_directory_operations(ops);
  add_io_operations(ops);
  add_copy_operation(ops);
  fuse_.reset(fuse_session_new(&arguments, &ops, sizeof ops, this));
  fuse_opt_free_args(&arguments);
  if (!fuse_) return fail(EINVAL, "libfuse refused the mount options: " + options);
  context_.changed_unasked = [this](const Node& node) {
    const std::lock_guard lock(telling_);
    if (mounted_)
      (void)::fuse_lowlevel_notify_inval_inode(fuse_.get(), node.ino(), -1, 0);  // its attributes alone
  };
  return {};
}

Result<void> Session::mount() {
  const std::string& at = context_.settings.mountpoint;
  if (fuse_session_mount(fuse_.get(), at.c_str()) != 0) return fail(EIO, at + ": can't be mounted");
  mounted_ = true;
  // A descriptor that mount.fuse3 opened still names the directory below the mount; nothing of the host is
  // shown there.
  if (is_descriptor_path(at)) return {};
  // Asked of the kernel only (no request to ourselves): files/ refuses to enter this device.
  struct statx found {};
  if (::statx(AT_FDCWD, at.c_str(), AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_TYPE, &found) == 0) {
    context_.own_device = makedev(found.stx_dev_major, found.stx_dev_minor);
  }
  return {};
}

void Session::initialised(fuse_conn_info* connection) noexcept {
  try {
    agree(connection);
  } catch (const std::exception& problem) {
    log_error(problem.what());
    refused_ = true;
    fuse_session_exit(fuse_.get());
  }
}

void Session::agree(fuse_conn_info* connection) {
  const auto without = [connection](unsigned flag) { connection->want &= ~flag; };
  const auto with = [connection](unsigned flag) {
    if ((connection->capable & flag) != 0) connection->want |= flag;
  };
  without(FUSE_CAP_ATOMIC_O_TRUNC);  // one way to truncate: SETATTR
  without(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE);  // slower for memory
  without(FUSE_CAP_WRITEBACK_CACHE);
  with(FUSE_CAP_DONT_MASK);  // a default ACL on the host may stand in for the umask: made_mode()
  with(FUSE_CAP_PARALLEL_DIROPS);
  with(FUSE_CAP_READDIRPLUS);
  with(FUSE_CAP_READDIRPLUS_AUTO);
  connection->max_write = kMaxRequest;
  connection->max_read = 0;
#if DMABUFFS_HAS_PASSTHROUGH
  with(FUSE_CAP_HANDLE_KILLPRIV_V2);
  // Reads and writes by passthrough would skip the caller's rights in files/, so with allow_other only
  // buffers have it; OpenFile::passthrough_fd() decides for each.
  if (context_.settings.passthrough && (connection->capable & FUSE_CAP_PASSTHROUGH) != 0) {
    connection->want |= FUSE_CAP_PASSTHROUGH;
    connection->max_backing_stack_depth = 1;
    context_.passthrough.enable(backings_of(fuse_session_fd(fuse_.get())));
  }
#endif
  // Not before: whether clients may pass the daemon is settled when a buffer is made.
  if (context_.keeper) restore_heaps(context_, *heaps_);
  if (ready_) ready_();
}

Result<void> Session::serve(std::function<void()> ready) {
  ready_ = std::move(ready);
  if (fuse_set_signal_handlers(fuse_.get()) != 0) return fail(EIO, "signal handlers can't be set");
  std::unique_ptr<fuse_loop_config, decltype(&fuse_loop_cfg_destroy)> config(fuse_loop_cfg_create(),
                                                                             &fuse_loop_cfg_destroy);
  fuse_loop_cfg_set_clone_fd(config.get(), 1);
  fuse_loop_cfg_set_max_threads(config.get(), kWorkers);
  int ended = fuse_session_loop_mt(fuse_.get(), config.get());
  // A worker that finds no memory for its first request ends libfuse's loop for all; -1: there was none for
  // the first worker.
  for (bool again = ended == -ENOMEM; again; again = ended == -ENOMEM || ended == -1) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    ended = fuse_session_loop_mt(fuse_.get(), config.get());
  }
  // Whoever ends it again, now that it ends, does not cut that short.
  for (const int number : {SIGHUP, SIGINT, SIGTERM}) std::signal(number, SIG_IGN);
  fuse_remove_signal_handlers(fuse_.get());
  // Positive: the number of the signal that ended it, which is how one ends a daemon.
  if (refused_) return fail(EIO, context_.settings.mountpoint + ": the mount could not be begun");
  if (ended < 0) return fail_errno(-ended, context_.settings.mountpoint);
  return {};
}

std::shared_ptr<CancelToken> Session::new_cancel_token() {
  auto token = std::make_shared<CancelToken>(CancelToken::Ends::WithProgress);
  const std::lock_guard lock(mutex_);
  if (ending_) token->cancel();
  running_.remove_if([](const auto& old) { return old.expired(); });
  running_.push_back(token);
  return token;
}

void Session::unmount() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
    for (const auto& running : running_) {
      if (auto token = running.lock()) token->cancel();
    }
  }
  // Before the unmount: what these still answer needs the session.
  transfers_.stop();
  names_.stop();
  waiting_.stop();
  // The control socket's clients may still be served; the descriptor's number is another file's, soon.
  const std::lock_guard lock(telling_);
  if (mounted_) fuse_session_unmount(fuse_.get());
  mounted_ = false;
}

Session::~Session() {
  unmount();
}

}  // namespace dmabuffs
