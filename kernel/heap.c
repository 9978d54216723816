// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * The exporter: buffers of large pages, charged to whoever makes them.
 *
 * A buffer's memory lies in slots of 2 MiB, each one page of that size or, where
 * there is none, an array of smaller ones.  Slots are allocated by several CPUs
 * at once and can be used as they come; a buffer is exported when it has all of
 * them and each byte in them is the caller's.
 */
#include <linux/dma-buf.h>
#include <linux/dma-mapping.h>
#include <linux/highmem.h>
#include <linux/memcontrol.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "heap.h"

/* More of them only wait for the memory bus. */
#define DF_MOST_WORKERS 8

/* A large page is worth a try, but no reclaim, and no victim of the OOM killer. */
#define DF_GFP_LARGE ((GFP_HIGHUSER | __GFP_ACCOUNT | __GFP_COMP | __GFP_NOWARN | __GFP_NORETRY) & \
		      ~__GFP_RECLAIM)
#define DF_GFP_PAGE (GFP_HIGHUSER | __GFP_ACCOUNT | __GFP_NOWARN | __GFP_RETRY_MAYFAIL)

struct workqueue_struct *df_workers;

int df_heap_init(void)
{
	df_workers = alloc_workqueue("dmabuf_file", WQ_UNBOUND, 0);
	return df_workers ? 0 : -ENOMEM;
}

void df_heap_exit(void)
{
	destroy_workqueue(df_workers);
}

static unsigned int df_order_of_slot(size_t bytes, unsigned int most)
{
	static const unsigned int orders[] = { DF_SLOT_ORDER, 4, 0 };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(orders) - 1; i++)
		if (orders[i] <= most && IS_ALIGNED(bytes, PAGE_SIZE << orders[i]))
			break;
	return orders[i];
}

static unsigned int df_chunks(const struct df_slot *slot)
{
	return slot->bytes >> (PAGE_SHIFT + slot->order);
}

static struct page *df_chunk(const struct df_slot *slot, unsigned int index)
{
	return slot->order == DF_SLOT_ORDER ? slot->page : slot->pages[index];
}

struct page *df_slot_page(const struct df_slot *slot, size_t in_slot)
{
	size_t chunk = PAGE_SIZE << slot->order;

	return df_chunk(slot, in_slot / chunk) + in_slot % chunk / PAGE_SIZE;
}

static void df_free_small(struct df_slot *slot, unsigned int count)
{
	while (count--)
		__free_pages(slot->pages[count], slot->order);
	kvfree(slot->pages);
	slot->pages = NULL;
}

static int df_slot_alloc_small(struct df_slot *slot, gfp_t extra, const bool *stop)
{
	gfp_t gfp = (slot->order ? DF_GFP_LARGE : DF_GFP_PAGE) | extra;
	unsigned int i;

	slot->pages = kvmalloc_array(df_chunks(slot), sizeof(struct page *), GFP_KERNEL_ACCOUNT);
	if (!slot->pages)
		return -ENOMEM;
	for (i = 0; i < df_chunks(slot); i++) {
		slot->pages[i] = READ_ONCE(*stop) ? NULL : alloc_pages(gfp, slot->order);
		if (!slot->pages[i]) {
			df_free_small(slot, i);
			return -ENOMEM;
		}
	}
	return 0;
}

/* Fills one slot with memory of the largest size there is. */
int df_slot_alloc(struct df_slot *slot, gfp_t extra, const bool *stop)
{
	unsigned int most = DF_SLOT_ORDER;

	slot->dirty = !want_init_on_alloc(DF_GFP_PAGE | extra);
	while (true) {
		slot->order = df_order_of_slot(slot->bytes, most);
		if (slot->order == DF_SLOT_ORDER) {
			slot->page = alloc_pages(DF_GFP_LARGE | extra, slot->order);
			if (slot->page)
				return 0;
		} else if (!df_slot_alloc_small(slot, extra, stop)) {
			return 0;
		}
		if (!slot->order)
			return -ENOMEM;
		most = slot->order - 1;
	}
}

void df_slot_free(struct df_slot *slot, kuid_t owner)
{
	if (!slot->page)
		return;
	if (slot->order != DF_SLOT_ORDER)
		df_free_small(slot, df_chunks(slot));
	else if (!df_pool_give(slot->page, owner))
		__free_pages(slot->page, slot->order);
	slot->page = NULL;
}

/*
 * Whether there is no memory for @bytes, and @spare pages for others.  It would be
 * nobody's in the eyes of the OOM killer, who then took everybody else.
 */
bool df_memory_lacks(u64 bytes, unsigned long spare)
{
	u64 pooled, limit;

	df_pool_sizes(&pooled, &limit);
	return bytes + ((u64)spare << PAGE_SHIFT) >
	       pooled + ((u64)si_mem_available() << PAGE_SHIFT);
}

/**
 * df_buffer_empty - a buffer of no size, for df_buffer_grow()
 *
 * Return: the buffer, for df_buffer_free(), or NULL.
 */
struct df_buffer *df_buffer_empty(void)
{
	struct df_buffer *buffer = kzalloc(sizeof(*buffer), GFP_KERNEL_ACCOUNT);

	if (!buffer)
		return NULL;
	buffer->owner = current_euid();
	mutex_init(&buffer->lock);
	INIT_LIST_HEAD(&buffer->attachments);
	init_waitqueue_head(&buffer->progress);
	return buffer;
}

/**
 * df_buffer_new - a buffer whose slots have no memory yet
 * @length: in bytes; rounded up to pages
 *
 * Return: the buffer, for df_buffer_free(), or an ERR_PTR.
 */
struct df_buffer *df_buffer_new(u64 length)
{
	struct df_buffer *buffer;
	size_t i, left;

	if (!length)
		return ERR_PTR(-EINVAL);
	if (length > SIZE_MAX - SZ_2M || df_memory_lacks(length, 0))
		return ERR_PTR(-ENOMEM);
	buffer = df_buffer_empty();
	if (!buffer)
		return ERR_PTR(-ENOMEM);
	buffer->size = PAGE_ALIGN(length);
	buffer->count = DIV_ROUND_UP(buffer->size, DF_SLOT_BYTES);
	buffer->slots = kvcalloc(buffer->count, sizeof(struct df_slot), GFP_KERNEL_ACCOUNT);
	if (!buffer->slots) {
		kfree(buffer);
		return ERR_PTR(-ENOMEM);
	}
	for (i = 0, left = buffer->size; i < buffer->count; i++, left -= DF_SLOT_BYTES)
		buffer->slots[i].bytes = min_t(size_t, left, DF_SLOT_BYTES);
	return buffer;
}

void df_buffer_free(struct df_buffer *buffer)
{
	size_t i;

	if (!buffer)
		return;
	for (i = 0; i < buffer->count; i++) {
		df_slot_free(&buffer->slots[i], buffer->owner);
		cond_resched();
	}
	kvfree(buffer->slots);
	kfree(buffer);
}

/* Allocates slots until there is none left, in their order. */
static void df_fill_some(struct df_filler *filler)
{
	struct df_buffer *buffer = filler->buffer;
	struct mem_cgroup *old = set_active_memcg(filler->memcg);

	while (!READ_ONCE(filler->stop)) {
		size_t i = atomic_long_inc_return(&filler->next) - 1;
		struct df_slot *slot;

		if (i >= buffer->count)
			break;
		slot = &buffer->slots[i];
		if (!slot->ready) {
			if (df_slot_alloc(slot, filler->gfp, &filler->stop)) {
				WRITE_ONCE(filler->error, -ENOMEM);
				WRITE_ONCE(filler->stop, true);
			} else {
				/* Pairs with df_slots_ready(). */
				smp_store_release(&slot->ready, true);
			}
			wake_up(&buffer->progress);
		}
		cond_resched();
	}
	set_active_memcg(old);
}

static void df_fill_work(struct work_struct *work)
{
	df_fill_some(container_of(work, struct df_worker, work)->filler);
}

/**
 * df_filler_start - let several CPUs allocate what a buffer lacks
 * @filler: to be ended with df_filler_finish()
 * @buffer: whose slots may be used as soon as df_wait_ready() says so
 * @gfp: __GFP_ZERO or 0: then a slot's "dirty" tells of what was in it
 */
void df_filler_start(struct df_filler *filler, struct df_buffer *buffer, gfp_t gfp)
{
	unsigned int i;

	filler->buffer = buffer;
	filler->gfp = gfp;
	filler->error = 0;
	filler->stop = false;
	filler->memcg = get_mem_cgroup_from_mm(current->mm);
	atomic_long_set(&filler->next, 0);
	buffer->filler = filler;
	filler->count = min3(num_online_cpus(), DF_MOST_WORKERS,
			     (unsigned int)min_t(size_t, buffer->count, DF_MOST_WORKERS));
	for (i = 0; i < filler->count; i++) {
		filler->workers[i].filler = filler;
		INIT_WORK(&filler->workers[i].work, df_fill_work);
		queue_work(df_workers, &filler->workers[i].work);
	}
}

/* Return: 0: the buffer has all its memory. */
int df_filler_finish(struct df_filler *filler, bool stop)
{
	unsigned int i;

	if (stop)
		WRITE_ONCE(filler->stop, true);
	for (i = 0; i < filler->count; i++)
		flush_work(&filler->workers[i].work);
	filler->buffer->filler = NULL;
	mem_cgroup_put(filler->memcg);
	return filler->error;
}

/* Asked by one thread, which made the buffer; @at is where it got the last time. */
static bool df_slots_ready(struct df_buffer *buffer, size_t *at, size_t last)
{
	/* Pairs with df_fill_some(): what the slot has is seen, too. */
	while (*at <= last && smp_load_acquire(&buffer->slots[*at].ready))
		++*at;
	return *at > last;
}

/**
 * df_buffer_wait - wait until a range has memory
 * @buffer: being filled, or full
 * @offset: of the range
 * @length: more than 0
 *
 * Return: 0, -ENOMEM, or -EINTR for a fatal signal.
 */
int df_buffer_wait(struct df_buffer *buffer, size_t offset, size_t length)
{
	struct df_filler *filler = buffer->filler;
	size_t at = offset / DF_SLOT_BYTES, last = (offset + length - 1) / DF_SLOT_BYTES;

	if (!filler)
		return 0;
	if (wait_event_killable(buffer->progress, df_slots_ready(buffer, &at, last) ||
				READ_ONCE(filler->error)))
		return -EINTR;
	return df_slots_ready(buffer, &at, last) ? 0 : filler->error;
}

/**
 * df_buffer_page - the page at an offset
 * @buffer: which has memory there
 * @offset: in bytes
 * @bytes: out: how many from @offset on are contiguous with it
 */
struct page *df_buffer_page(struct df_buffer *buffer, size_t offset, size_t *bytes)
{
	const struct df_slot *slot = &buffer->slots[offset / DF_SLOT_BYTES];
	size_t in_slot = offset % DF_SLOT_BYTES;
	size_t chunk = PAGE_SIZE << slot->order;

	*bytes = chunk - in_slot % chunk;
	return df_slot_page(slot, in_slot);
}

/**
 * df_buffer_zero - zero a range
 * @buffer: not exported yet
 * @from: its beginning
 * @to: its end
 * @all: else only memory that has not been zeroed since somebody used it
 */
void df_buffer_zero(struct df_buffer *buffer, size_t from, size_t to, bool all)
{
	while (from < to) {
		const struct df_slot *slot = &buffer->slots[from / DF_SLOT_BYTES];
		size_t bytes = min_t(size_t, to - from, PAGE_SIZE - offset_in_page(from));

		if (all || slot->dirty) {
			size_t contiguous;
			struct page *page = df_buffer_page(buffer, from, &contiguous);

			memzero_page(page, offset_in_page(from), bytes);
		} else {
			bytes = min(to - from, DF_SLOT_BYTES - from % DF_SLOT_BYTES);
		}
		from += bytes;
		if (IS_ALIGNED(from, DF_SLOT_BYTES))
			cond_resched();
	}
}

/*
 * ALLOC: the caller gets zeroes.
 */
int df_alloc(struct dmabuf_file_alloc *arg, struct df_new *new)
{
	struct df_buffer *buffer;
	struct df_filler *filler;
	int error;

	arg->dmabuf_fd = -1;
	if (arg->flags || !df_fd_flags_valid(arg->fd_flags))
		return -EINVAL;
	filler = kzalloc(sizeof(*filler), GFP_KERNEL);
	if (!filler)
		return -ENOMEM;
	buffer = df_buffer_new(arg->length);
	if (IS_ERR(buffer)) {
		kfree(filler);
		return PTR_ERR(buffer);
	}
	df_filler_start(filler, buffer, __GFP_ZERO);
	error = df_buffer_wait(buffer, 0, buffer->size);
	error = df_filler_finish(filler, error) ?: error;
	kfree(filler);
	if (!error)
		return df_buffer_export(buffer, arg->fd_flags, new, &arg->dmabuf_fd);
	df_buffer_free(buffer);
	return error;
}
