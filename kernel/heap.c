// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * The exporter: buffers of large pages, charged to whoever makes them.
 *
 * A buffer's memory lies in slots of 2 MiB, each one page of that size or, where
 * there is none, an array of smaller ones.  Slots can be used as they come; a buffer is
 * exported when it has all of them and each byte in them is the caller's.  All is
 * done by the caller, on its CPUs and within its limits.
 */
#include <linux/dma-buf.h>
#include <linux/dma-mapping.h>
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "heap.h"

/* A large page is worth a try, but no reclaim, and no victim of the OOM killer. */
#define DF_GFP_LARGE ((GFP_HIGHUSER | __GFP_ACCOUNT | __GFP_COMP | __GFP_NOWARN | __GFP_NORETRY) & \
		      ~__GFP_RECLAIM)
#define DF_GFP_PAGE (GFP_HIGHUSER | __GFP_ACCOUNT | __GFP_NOWARN | __GFP_RETRY_MAYFAIL)

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

static int df_slot_alloc_small(struct df_slot *slot, gfp_t extra)
{
	gfp_t gfp = (slot->order ? DF_GFP_LARGE : DF_GFP_PAGE) | extra;
	unsigned int i;

	slot->pages = kvmalloc_array(df_chunks(slot), sizeof(struct page *),
				     GFP_KERNEL_ACCOUNT | __GFP_RETRY_MAYFAIL);
	if (!slot->pages)
		return -ENOMEM;
	for (i = 0; i < df_chunks(slot); i++) {
		slot->pages[i] = alloc_pages(gfp, slot->order);
		if (!slot->pages[i]) {
			df_free_small(slot, i);
			return -ENOMEM;
		}
	}
	return 0;
}

/* Fills one slot with memory of the largest size there is. */
int df_slot_alloc(struct df_slot *slot, gfp_t extra)
{
	unsigned int most = DF_SLOT_ORDER;

	while (true) {
		slot->order = df_order_of_slot(slot->bytes, most);
		if (slot->order == DF_SLOT_ORDER) {
			slot->page = alloc_pages(DF_GFP_LARGE | extra, slot->order);
			if (slot->page)
				return 0;
		} else if (!df_slot_alloc_small(slot, extra)) {
			return 0;
		}
		if (!slot->order)
			return -ENOMEM;
		most = slot->order - 1;
	}
}

void df_slot_free(struct df_slot *slot)
{
	if (!slot->page)
		return;
	if (slot->order != DF_SLOT_ORDER)
		df_free_small(slot, df_chunks(slot));
	else
		__free_pages(slot->page, slot->order);
	slot->page = NULL;
}

/*
 * Whether there is no memory for @bytes, and @spare pages for others.  It would be
 * nobody's in the eyes of the OOM killer, who then took everybody else.
 */
bool df_memory_lacks(u64 bytes, unsigned long spare)
{
	return bytes + ((u64)spare << PAGE_SHIFT) > (u64)si_mem_available() << PAGE_SHIFT;
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
	mutex_init(&buffer->lock);
	INIT_LIST_HEAD(&buffer->attachments);
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
		df_slot_free(&buffer->slots[i]);
		cond_resched();
	}
	kvfree(buffer->slots);
	kfree(buffer);
}

/**
 * df_buffer_fill - give a range the memory that it lacks
 * @buffer: of df_buffer_new()
 * @offset: of the range
 * @length: more than 0
 * @gfp: __GFP_ZERO or 0
 *
 * Return: 0, -ENOMEM, or -EINTR for a fatal signal.
 */
int df_buffer_fill(struct df_buffer *buffer, size_t offset, size_t length, gfp_t gfp)
{
	size_t i = offset / DF_SLOT_BYTES, last = (offset + length - 1) / DF_SLOT_BYTES;

	for (; i <= last; i++) {
		int error;

		if (buffer->slots[i].page)
			continue;
		error = fatal_signal_pending(current) ? -EINTR :
							df_slot_alloc(&buffer->slots[i], gfp);
		if (error)
			return error;
		cond_resched();
	}
	return 0;
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
 * df_buffer_zero - zero a range, unless a fatal signal comes
 * @buffer: not exported yet
 * @from: its beginning
 * @to: its end
 */
void df_buffer_zero(struct df_buffer *buffer, size_t from, size_t to)
{
	while (from < to && !fatal_signal_pending(current)) {
		size_t bytes = min_t(size_t, to - from, PAGE_SIZE - offset_in_page(from));
		size_t contiguous;

		memzero_page(df_buffer_page(buffer, from, &contiguous), offset_in_page(from),
			     bytes);
		from += bytes;
		cond_resched();
	}
}

/*
 * ALLOC: the caller gets zeroes.
 */
int df_alloc(struct dmabuf_file_alloc *arg, struct df_new *new)
{
	struct df_buffer *buffer;
	int error;

	arg->dmabuf_fd = -1;
	if (arg->flags || !df_fd_flags_valid(arg->fd_flags))
		return -EINVAL;
	buffer = df_buffer_new(arg->length);
	if (IS_ERR(buffer))
		return PTR_ERR(buffer);
	error = df_buffer_fill(buffer, 0, buffer->size, __GFP_ZERO);
	if (!error)
		return df_buffer_export(buffer, arg->fd_flags, new, &arg->dmabuf_fd);
	df_buffer_free(buffer);
	return error;
}
