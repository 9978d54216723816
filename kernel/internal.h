/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What the parts of this module know of each other.
 *
 *   main.c      the device and its ioctls
 *   pages.c     the pages of a dma-buf
 *   target.c    files that a transfer reads or writes
 *   transfer.c  I/O between pages and files
 *   heap.c      our own buffers and their memory
 *   grow.c      those that get memory as they are written
 *   exporter.c  what other drivers see of them
 *   load.c      buffers filled before they are seen
 *   file.c      regular files over dma-bufs
 *   tail.c      what is written beyond the dma-buf
 *   open.c      how such a file comes to be
 *   bind.c      and to its dma-buf
 */
#ifndef DMABUF_FILE_INTERNAL_H
#define DMABUF_FILE_INTERNAL_H

#include <linux/bvec.h>
#include <linux/dma-buf.h>
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

int df_target_get(struct df_target *target, int fd, u32 flags);
void df_target_put(struct df_target *target);
bool df_target_frozen(const struct df_target *target);
int df_move(struct df_pages *pages, const struct df_target *target,
	    const struct dmabuf_file_segment *segments, u32 count,
	    u32 flags, u32 *how, u64 *bytes);
int df_transfer(struct dmabuf_file_transfer *arg);

/* A descriptor that an ioctl made and its caller does not know yet. */
struct df_new {
	struct file *file;
	int fd;
};

int df_new_descriptor(struct df_new *new, struct file *file, u32 flags, s32 *fd);

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

struct dmabuf_file_segment *df_copy_segments(u64 user, u32 count, u64 buffer_size);
struct device *df_device(void);

#endif /* DMABUF_FILE_INTERNAL_H */
