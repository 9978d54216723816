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
	struct df_buffer *tail;		/* memory for what is written beyond it */
	u64 room;			/* the most of that */
	/* Of what mmap(2) looks at. */
	spinlock_t mapping_lock;
	unsigned int mapping;		/* how many are at it now */
	bool fixed;			/* one has done it, so the dma-buf has to stay */
	bool full;			/* nothing more is written beyond it */
	bool beyond;			/* something is written beyond the dma-buf */
	bool hidden;			/* what lies beyond the length is not to be seen */
	bool read_only;
};

/* Why a part of a read or write ended. */
enum df_next {
	DF_DONE,
	DF_FAULT,	/* the caller's memory is not there, or is none */
	DF_REPLACED,	/* another dma-buf is bound now */
	DF_GROW,	/* the file gets longer, which takes the lock for writing */
	DF_MORE,	/* it is long */
	DF_KILLED,
};

static inline struct df_file *df_file_of(const struct inode *inode)
{
	return inode->i_private;
}

static inline size_t df_capacity(const struct df_file *state)
{
	return state->dmabuf ? state->dmabuf->size : 0;
}

struct dma_buf *df_access(struct df_file *state, enum dma_data_direction direction);
void df_access_end(struct dma_buf *dmabuf, enum dma_data_direction direction);

/* inode.c: with state->lock held, for writing where anything changes. */
struct page *df_file_page(const struct df_file *state, size_t offset);
size_t df_reach(const struct df_file *state);
int df_extend(struct df_file *state, u64 from, u64 end);
int df_zero(struct df_file *state, size_t from, size_t to);
int df_copy_all(const struct df_file *state, size_t size, size_t length, struct df_pages *pages);
struct df_buffer *df_tail_take(struct df_file *state);
void df_tail_trim(struct inode *inode);

extern const struct file_operations df_file_operations;
extern const struct inode_operations df_inode_operations;

/* inode.c: every open file keeps the file system it is in. */
int df_fs_pin(void);
void df_fs_unpin(void);
struct vfsmount *df_fs_mount(void);
struct inode *df_inode_new(u64 room, bool read_only);

#endif /* DMABUF_FILE_FILE_H */
