/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A regular file over a dma-buf: its inode's state.
 */
#ifndef DMABUF_FILE_FILE_H
#define DMABUF_FILE_FILE_H

#include <linux/rwsem.h>
#include <linux/spinlock.h>

#include "internal.h"

struct df_file {
	/* Of what follows, and of the file's length: written to change that. */
	struct rw_semaphore lock;
	struct df_pages pages;
	struct dma_buf *dmabuf;		/* NULL: not bound; changes under both locks */
	/* Of what mmap(2) looks at. */
	spinlock_t mapping_lock;
	unsigned int mapping;		/* how many are at it now */
	bool mapped;			/* one has done it, so the dma-buf has to stay */
	bool read_only;
};

static inline struct df_file *df_file_of(const struct inode *inode)
{
	return inode->i_private;
}

static inline size_t df_capacity(const struct df_file *state)
{
	return state->dmabuf ? state->dmabuf->size : 0;
}

extern const struct file_operations df_file_operations;
extern const struct inode_operations df_inode_operations;

/* open.c: every open file keeps the file system it is in. */
int df_fs_pin(void);
void df_fs_unpin(void);

#endif /* DMABUF_FILE_FILE_H */
