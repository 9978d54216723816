/* SPDX-License-Identifier: ((GPL-2.0-only WITH Linux-syscall-note) OR MIT) */
/*
 * dmabuf_file: direct I/O between regular files and dma-bufs, dma-bufs that are
 * filled before they exist, and regular files over dma-bufs.
 *
 * The ioctls of /dev/dmabuf_file.  Each takes a pointer to its structure, whose
 * first member is the structure's size as the caller knows it: less than that of
 * version 1, which this is, is EINVAL; a larger one is refused with E2BIG unless
 * what follows is zero.  Members called "reserved" and unknown flag
 * bits must be zero, else EINVAL.  "out" members are written back even when the
 * ioctl fails with an error after having begun its work.
 */
#ifndef _UAPI_DMABUF_FILE_H
#define _UAPI_DMABUF_FILE_H

#include <linux/const.h>
#include <linux/ioctl.h>
#include <linux/types.h>

#define DMABUF_FILE_DEVICE "/dev/dmabuf_file"
#define DMABUF_FILE_VERSION 1

/* Features, as QUERY tells them. */
#define DMABUF_FILE_HAS_TRANSFER	_BITULL(0)
#define DMABUF_FILE_HAS_ALLOC		_BITULL(1)
#define DMABUF_FILE_HAS_LOAD		_BITULL(2)
#define DMABUF_FILE_HAS_OPEN		_BITULL(3)
#define DMABUF_FILE_HAS_URING		_BITULL(4)
#define DMABUF_FILE_HAS_ROOM		_BITULL(5) /* of files of OPEN; BIND_KEEP */

/**
 * struct dmabuf_file_query - what this module can do
 * @size: sizeof(struct dmabuf_file_query)
 * @flags: 0
 * @version: out: DMABUF_FILE_VERSION of the module
 * @max_segments: out: the most segments one TRANSFER or LOAD takes
 * @features: out: DMABUF_FILE_HAS_...
 * @reserved: 0
 */
struct dmabuf_file_query {
	__u32 size;
	__u32 flags;
	__u32 version;
	__u32 max_segments;
	__u64 features;
	__u64 reserved[2];
};

/* What happened to the bytes: the "how" of TRANSFER and LOAD, a mask. */
#define DMABUF_FILE_HOW_DIRECT		_BITUL(0) /* eligible for direct I/O */
#define DMABUF_FILE_HOW_BUFFERED	_BITUL(1) /* went through the page cache */
#define DMABUF_FILE_HOW_OWN_PAGES	_BITUL(2) /* of this module's exporter */
#define DMABUF_FILE_HOW_SG		_BITUL(3) /* pages found in the sg_table */
/* _BITUL(4) is not used. */

/**
 * struct dmabuf_file_segment - a range that is moved
 * @buffer_offset: where it begins in the dma-buf
 * @file_offset: where it begins in the file or block device
 * @length: bytes, more than 0
 */
struct dmabuf_file_segment {
	__u64 buffer_offset;
	__u64 file_offset;
	__u64 length;
};

/* Move bytes from the dma-buf into the file; without it, the other way. */
#define DMABUF_FILE_TO_FILE		_BITUL(0)
/*
 * Fail where direct I/O can't be asked for: EOPNOTSUPP of this file, EINVAL of this
 * range.  What a file system does with the request is told by "how" afterwards.
 */
#define DMABUF_FILE_REQUIRE_DIRECT	_BITUL(1)
/*
 * Of LOAD: any signal ends it that comes before its last piece of 16 MiB is asked for, with
 * EINTR and no buffer, whatever SA_RESTART says; else only a fatal one.
 */
#define DMABUF_FILE_INTERRUPTIBLE	_BITUL(2)

/**
 * struct dmabuf_file_transfer - move bytes between a file and a dma-buf
 * @size: sizeof(struct dmabuf_file_transfer)
 * @flags: DMABUF_FILE_TO_FILE, DMABUF_FILE_REQUIRE_DIRECT
 * @dmabuf_fd: the dma-buf, open for writing unless DMABUF_FILE_TO_FILE is set,
 *             then for reading
 * @file_fd: a regular file or block device, open for the other one
 * @segments: pointer to an array of struct dmabuf_file_segment, moved in order
 * @segment_count: its length, 1 .. max_segments of QUERY
 * @how: out: DMABUF_FILE_HOW_...
 * @bytes: out: bytes moved, counted from the start of the first segment on
 *
 * As with pread(2) and pwrite(2): less than asked, without an error, when the
 * file ends, a signal arrives or an error comes after the first bytes (the next
 * call meets it again).  A signal does not keep it from moving its first piece of up to
 * 16 MiB.  File positions are not used and not changed.
 *
 * EBADF: a descriptor is none, or not open for what is needed, or with
 * DMABUF_FILE_TO_FILE the file is open with O_APPEND.  EINVAL: the file is neither a
 * regular file nor a block device, @dmabuf_fd is no dma-buf, a range does not fit.
 * EOPNOTSUPP: nothing is known about the pages of this exporter; no direct I/O where it
 * was required; the file is one of FUSE or of OPEN.  EPERM: the file is immutable.
 * EINTR: nothing was moved before a fatal signal came; or any, unless SA_RESTART says to
 * wait on, while a device or a frozen file system is waited for.  All that pread(2),
 * pwrite(2) report.
 */
struct dmabuf_file_transfer {
	__u32 size;
	__u32 flags;
	__s32 dmabuf_fd;
	__s32 file_fd;
	__u64 segments;
	__u32 segment_count;
	__u32 how;
	__u64 bytes;
};

/**
 * struct dmabuf_file_alloc - make a dma-buf of this module's exporter
 * @size: sizeof(struct dmabuf_file_alloc)
 * @fd_flags: O_CLOEXEC, and O_RDWR or O_RDONLY, of the new descriptor
 * @length: bytes, more than 0; rounded up to pages
 * @flags: 0
 * @dmabuf_fd: out: the new descriptor; all its bytes are zero
 *
 * EINVAL: no length, other @fd_flags.  ENOMEM: as much as there is no memory for, also
 * in the caller's cgroup.  EINTR: a fatal signal.  EMFILE.
 */
struct dmabuf_file_alloc {
	__u32 size;
	__u32 fd_flags;
	__u64 length;
	__u32 flags;
	__s32 dmabuf_fd;
};

/**
 * struct dmabuf_file_load - make a dma-buf that holds what is in a file
 * @size: sizeof(struct dmabuf_file_load)
 * @fd_flags: as in struct dmabuf_file_alloc
 * @length: bytes of the buffer
 * @flags: DMABUF_FILE_REQUIRE_DIRECT, DMABUF_FILE_INTERRUPTIBLE
 * @file_fd: a regular file or block device, open for reading
 * @segments: pointer to an array of struct dmabuf_file_segment, which must not
 *            overlap in the buffer
 * @segment_count: its length, 1 .. max_segments of QUERY
 * @how: out: DMABUF_FILE_HOW_...
 * @bytes: out: bytes read; fewer than asked where the file ended
 * @dmabuf_fd: out: the new descriptor; bytes that were not read are zero
 * @reserved: 0
 *
 * Memory is allocated, by the caller, while what there is of it is read into.  With
 * DMABUF_FILE_REQUIRE_DIRECT lengths are whole blocks of the file's direct I/O, also at
 * its end (EINVAL): round the last one up.  There is no buffer after an error, nor
 * after a fatal signal: nothing is loaded in part, and @bytes means nothing.
 *
 * EBADF: the file is not open for reading.  EINVAL: ranges that overlap or don't fit.
 * Else those of ALLOC, and what TRANSFER says of files.
 */
struct dmabuf_file_load {
	__u32 size;
	__u32 fd_flags;
	__u64 length;
	__u32 flags;
	__s32 file_fd;
	__u64 segments;
	__u32 segment_count;
	__u32 how;
	__u64 bytes;
	__s32 dmabuf_fd;
	__u32 reserved;
};

/**
 * struct dmabuf_file_open - make a regular file that a dma-buf can be bound to
 * @size: sizeof(struct dmabuf_file_open)
 * @fd_flags: O_CLOEXEC, and O_RDWR or O_RDONLY, of the new descriptor
 * @dmabuf_fd: bound at once; -1: not bound yet
 * @file_fd: out: the new descriptor
 * @length: the file's length, at most the dma-buf's size; 0 if not bound
 * @room: how many bytes may be written beyond the dma-buf, or while there is none,
 *        into memory of the file's own; 0: that fails with ENOSPC
 *
 * What is written there (charged to who writes; ENOMEM) waits for a BIND with
 * DMABUF_FILE_BIND_KEEP; any other BIND drops it.  Meanwhile the file can't be mapped
 * (ENODEV), and one that has been mapped can't be written beyond its dma-buf (EBUSY).
 *
 * EINVAL: a length without a dma-buf, or beyond it; room without O_RDWR; @dmabuf_fd is
 * no dma-buf; other @fd_flags.  EACCES: O_RDWR over a dma-buf that is not open for
 * writing.  EBADF: @dmabuf_fd is none, or not open for reading.  EOPNOTSUPP: nothing is
 * known about the pages of this exporter.  EINTR: a signal, while a device is waited
 * for (whatever SA_RESTART says, here and below).  ENOMEM, EMFILE.
 */
struct dmabuf_file_open {
	__u32 size;
	__u32 fd_flags;
	__s32 dmabuf_fd;
	__s32 file_fd;
	__u64 length;
	__u64 room;
};

/* Let go what is bound already, and bind the other one in the same moment. */
#define DMABUF_FILE_BIND_REPLACE	_BITUL(0)
/*
 * The same, but the file keeps its bytes: they are copied into the dma-buf, while who
 * reads or writes waits.
 */
#define DMABUF_FILE_BIND_KEEP		_BITUL(1)
/*
 * What lies beyond the file's length may be anything, so nobody may map it (ENODEV):
 * until the same dma-buf is bound without this flag, which zeroes that.
 */
#define DMABUF_FILE_BIND_HIDDEN		_BITUL(2)
/* Nothing is written beyond it (EBUSY), as if it had been mapped: until the next BIND. */
#define DMABUF_FILE_BIND_FULL		_BITUL(3)
/* With DMABUF_FILE_BIND_KEEP: what is added is in the dma-buf already, and not zeroed. */
#define DMABUF_FILE_BIND_FILLED		_BITUL(4)

/**
 * struct dmabuf_file_bind - bind a dma-buf to a file that OPEN made
 * @size: sizeof(struct dmabuf_file_bind)
 * @flags: DMABUF_FILE_BIND_...; not HIDDEN and FULL together, FILLED only with KEEP
 * @file_fd: the file, open for writing
 * @dmabuf_fd: the dma-buf, open for reading and writing; with
 *             DMABUF_FILE_BIND_REPLACE alone also -1, for none
 * @length: the file's length from now on; nothing is zeroed, and what was written
 *          beyond the dma-buf is gone.  With DMABUF_FILE_BIND_KEEP: the least length;
 *          what is added is zeroed; out: the file's length, also with ENOSPC
 *
 * With DMABUF_FILE_BIND_REPLACE or _KEEP and the dma-buf that is bound already only
 * the length, and whether it is hidden or full, change.
 *
 * EBADF: a descriptor is none, or not open for what is needed.  EINVAL: flags that
 * don't go together; @file_fd is not of OPEN, or @dmabuf_fd no dma-buf; without
 * DMABUF_FILE_BIND_KEEP: @length is more than the dma-buf's size, or not 0 for none.
 * EBUSY: one is bound already; or it is to be replaced or hidden, and has been
 * mapped through the file, if only once, or is being mapped.  ENOSPC: the dma-buf is
 * smaller than what is kept, or than @length.  EOPNOTSUPP: nothing is known about the
 * pages of this exporter.  ENOMEM.  EINTR: a fatal signal, or any while a device is
 * waited for.  What was bound stays so then; the other dma-buf may hold anything.
 */
struct dmabuf_file_bind {
	__u32 size;
	__u32 flags;
	__s32 file_fd;
	__s32 dmabuf_fd;
	__u64 length;
};

#define DMABUF_FILE_IOC_MAGIC	0xBF
#define DMABUF_FILE_QUERY	_IO(DMABUF_FILE_IOC_MAGIC, 0)
#define DMABUF_FILE_TRANSFER	_IO(DMABUF_FILE_IOC_MAGIC, 1)
#define DMABUF_FILE_ALLOC	_IO(DMABUF_FILE_IOC_MAGIC, 2)
#define DMABUF_FILE_LOAD	_IO(DMABUF_FILE_IOC_MAGIC, 3)
#define DMABUF_FILE_OPEN	_IO(DMABUF_FILE_IOC_MAGIC, 4)
#define DMABUF_FILE_BIND	_IO(DMABUF_FILE_IOC_MAGIC, 5)

#endif /* _UAPI_DMABUF_FILE_H */
