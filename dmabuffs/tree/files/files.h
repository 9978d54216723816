// SPDX-License-Identifier: MIT
#pragma once
#include "dmabuffs/tree/mount.h"

namespace dmabuffs {

/// Whether these settings let files/ act with the rights of who asks; to be called before mounting. EPERM,
/// with the remedy, for other users (allow_other) on a mount of one who can't take on their rights: they
/// would act with his.
Result<void> check_files_allowed(const MountSettings& settings);

/// The files/<name> directory of one host directory. ENOENT, ENOTDIR, EACCES naming it.
/// Its nodes take their numbers from context.files_nodes.
Result<NodePtr> make_files_root(MountContext& context, const FilesOption& option);

}  // namespace dmabuffs
