/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Buffers of our exporter, for the files that make and fill them.
 */
#ifndef DMABUF_FILE_HEAP_H
#define DMABUF_FILE_HEAP_H

#include <linux/fcntl.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/sizes.h>

#include "internal.h"

#define DF_SLOT_BYTES ((size_t)SZ_2M)
#define DF_SLOT_ORDER (ilog2(SZ_2M) - PAGE_SHIFT)

struct df_slot {
	union {
		struct page *page;	/* of DF_SLOT_ORDER */
		struct page **pages;	/* of a smaller order */
	};
	unsigned int bytes;		/* DF_SLOT_BYTES but for the last one */
	u8 order;
};

struct df_buffer {
	size_t size;
	size_t count;			/* of slots */
	size_t most;			/* of slots there is place for, in one that grows */
	struct df_slot *slots;		/* without a page until one is needed */
	struct mutex lock;		/* of what follows */
	struct list_head attachments;
	void *vaddr;
};

struct df_buffer *df_buffer_new(u64 length);
struct df_buffer *df_buffer_empty(void);
int df_buffer_grow(struct df_buffer *buffer, size_t size);
void df_buffer_shrink(struct df_buffer *buffer, size_t size);
void df_buffer_free(struct df_buffer *buffer);
void df_buffer_zero(struct df_buffer *buffer, size_t from, size_t to);
/* exporter.c; the buffer is freed when this fails, and else with the dma-buf. */
int df_buffer_export(struct df_buffer *buffer, u32 fd_flags, struct df_new *new, s32 *fd);

static inline bool df_fd_flags_valid(u32 flags)
{
	return !(flags & ~(O_RDWR | O_CLOEXEC));
}

#endif /* DMABUF_FILE_HEAP_H */
