// SPDX-License-Identifier: MIT
/// The one place that asks which libfuse this is. fuse_lowlevel.h is included by way of this header only,
/// because FUSE_USE_VERSION must be the same everywhere.
#pragma once
#include <fuse_lowlevel.h>

#if FUSE_VERSION >= FUSE_MAKE_VERSION(3, 17)
#define DMABUFFS_HAS_PASSTHROUGH 1
#else
#define DMABUFFS_HAS_PASSTHROUGH 0
#endif

/// Without HANDLE_KILLPRIV_V2, which libfuse 3.14 can't say, every write to a file that may have extended
/// attributes, also to a buffer, asks for security.capability first.
#define DMABUFFS_XATTR_IS_FREE DMABUFFS_HAS_PASSTHROUGH
