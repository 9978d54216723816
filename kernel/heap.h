/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Buffers of our exporter, for the files that make and fill them.
 */
#ifndef DMABUF_FILE_HEAP_H
#define DMABUF_FILE_HEAP_H

#include <linux/atomic.h>
#include <linux/fcntl.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/sizes.h>
#include <linux/uidgid.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

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
	bool dirty;			/* may hold what somebody else wrote */
	bool ready;
};

struct df_buffer {
	size_t size;
	size_t count;			/* of slots */
	size_t most;			/* of slots there is place for, in one that grows */
	struct df_slot *slots;
	kuid_t owner;			/* whose pool gets the pages */
	struct df_filler *filler;	/* while it has not all its memory */
	wait_queue_head_t progress;	/* of the filler */
	struct mutex lock;		/* of what follows */
	struct list_head attachments;
	void *vaddr;
};

struct df_worker {
	struct work_struct work;
	struct df_filler *filler;
};

/* Several CPUs that allocate a buffer's memory. */
struct df_filler {
	struct df_buffer *buffer;
	struct mem_cgroup *memcg;	/* the caller's, who is charged */
	gfp_t gfp;
	int error;
	bool stop;
	atomic_long_t next;		/* slot */
	unsigned int count;
	struct df_worker workers[8];
};

/* For all work that is not done at once: no work outlives the module. */
extern struct workqueue_struct *df_workers;

struct df_buffer *df_buffer_new(u64 length);
struct df_buffer *df_buffer_empty(void);
int df_buffer_grow(struct df_buffer *buffer, size_t size);
void df_buffer_shrink(struct df_buffer *buffer, size_t size);
void df_buffer_free(struct df_buffer *buffer);
void df_filler_start(struct df_filler *filler, struct df_buffer *buffer, gfp_t gfp);
int df_filler_finish(struct df_filler *filler, bool stop);
void df_buffer_zero(struct df_buffer *buffer, size_t from, size_t to, bool all);
bool df_memory_lacks(u64 bytes, unsigned long spare);
int df_slot_alloc(struct df_slot *slot, gfp_t extra, const bool *stop);
void df_slot_free(struct df_slot *slot, kuid_t owner);
struct page *df_slot_page(const struct df_slot *slot, size_t in_slot);
/* exporter.c; the buffer is freed when this fails, and else with the dma-buf. */
int df_buffer_export(struct df_buffer *buffer, u32 fd_flags, struct df_new *new, s32 *fd);

/* pool.c: pages of DF_SLOT_ORDER that a user's buffers left. */
bool df_pool_give(struct page *page, kuid_t owner);
struct page *df_pool_take(kuid_t owner);

static inline bool df_fd_flags_valid(u32 flags)
{
	return !(flags & ~(O_RDWR | O_CLOEXEC));
}

#endif /* DMABUF_FILE_HEAP_H */
