/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What the parts of this module know of each other.
 *
 *   main.c      the device and its ioctls
 *   transfer.c  TRANSFER and LOAD: what may be moved where
 *   move.c      I/O between pages and files
 *   open.c      OPEN and BIND: how a regular file comes to be, and to its dma-buf
 *   file.c      what can be done with it
 *   inode.c     its state, and where its bytes are
 *   pages.c     the pages of a dma-buf
 *   exporter.c  our own buffers, as other drivers see them
 *   heap.c      and their memory
 *
 * Each of them calls into those below it only.
 */
#ifndef DMABUF_FILE_INTERNAL_H
#define DMABUF_FILE_INTERNAL_H

#include <linux/bvec.h>
#include <linux/dma-buf.h>
#include <linux/fcntl.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/scatterlist.h>
#include <linux/types.h>

#include "compat.h"
#include "dmabuf_file.h"

#define DF_MAX_SEGMENTS 1024

/*
 * The pages of a dma-buf, for as long as this is held: an attachment pins them, and
 * those of our own exporter are simply known.
 */
struct df_pages {
	struct dma_buf *dmabuf;
	struct dma_buf_attachment *attachment;
	struct df_buffer *own;		/* of our own exporter, ... */
	struct sg_table *table;		/* ... else in the attachment's table */
	struct page **index;		/* every page, after df_pages_index() */
	struct scatterlist *sg;		/* where the last range ended ... */
	size_t sg_start;		/* ... and where that entry begins */
};

int df_pages_init(void);
void df_pages_exit(void);
int df_pages_get(struct df_pages *pages, struct dma_buf *dmabuf);
void df_pages_put(struct df_pages *pages);
unsigned int df_pages_bvecs(struct df_pages *pages, size_t offset, size_t length,
			    struct bio_vec *bvecs, unsigned int most);

int df_begin_access(struct dma_buf *dmabuf, enum dma_data_direction direction);
void df_pages_dirty(struct df_pages *pages, size_t offset, size_t length);
int df_pages_index(struct df_pages *pages);
struct page *df_pages_at(const struct df_pages *pages, size_t offset);

/* A file as a transfer sees it. */
struct df_target {
	struct file *file;
	struct inode *inode;		/* of the file system below an overlay */
	bool to_file;
	bool whole;			/* only a fatal signal ends it */
	bool direct;			/* what is aligned may go direct */
	u32 offset_align;		/* of file offsets and lengths, if direct */
	u32 memory_align;
};

int df_move(struct df_pages *pages, const struct df_target *target,
	    const struct dmabuf_file_segment *segments, u32 count,
	    u32 flags, u32 *how, u64 *bytes);
int df_transfer(struct dmabuf_file_transfer *arg);

/* A descriptor that an ioctl made and its caller does not know yet. */
struct df_new {
	struct file *file;
	int fd;
};

/**
 * df_new_descriptor - reserve a descriptor for a file
 * @new: filled; takes the reference to the file
 * @file: which is let go if this fails
 * @flags: O_CLOEXEC or 0
 * @fd: out: the descriptor
 *
 * The descriptor becomes usable when the structure that names it has reached the
 * caller, and not else.
 *
 * Return: 0 or an error.
 */
static inline int df_new_descriptor(struct df_new *new, struct file *file, u32 flags, s32 *fd)
{
	int made = get_unused_fd_flags(flags & O_CLOEXEC);

	if (made < 0) {
		fput(file);
		return made;
	}
	*new = (struct df_new){ .file = file, .fd = made };
	*fd = made;
	return 0;
}

/* A buffer of our exporter; its pages lie in slots of DF_SLOT_BYTES. */
struct df_buffer;
struct df_buffer *df_buffer_of(struct dma_buf *dmabuf);	/* NULL: another exporter's */
struct page *df_buffer_page(struct df_buffer *buffer, size_t offset, size_t *bytes);
int df_alloc(struct dmabuf_file_alloc *arg, struct df_new *new);
int df_load(struct dmabuf_file_load *arg, struct df_new *new);
int df_buffer_fill(struct df_buffer *buffer, size_t offset, size_t length, gfp_t gfp);

bool df_is_open_file(struct file *file);
int df_open(struct dmabuf_file_open *arg, struct df_new *new);
int df_bind(struct dmabuf_file_bind *arg);

#endif /* DMABUF_FILE_INTERNAL_H */
