// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * The memory of our own buffers: large pages, charged to whoever makes them.
 *
 * A buffer's memory lies in slots of 2 MiB, each one page of that size or, where
 * there is none, an array of smaller ones.  Slots can be used as they come; a buffer is
 * exported when it has all of them and each byte in them is the caller's.  All is
 * done by the caller, on its CPUs and within its limits.
 */
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

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

static struct page *df_slot_page(const struct df_slot *slot, size_t in_slot)
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
static int df_slot_alloc(struct df_slot *slot, gfp_t extra)
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

static void df_slot_free(struct df_slot *slot)
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
static bool df_memory_lacks(u64 bytes, unsigned long spare)
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

/* Place for one slot more. */
static int df_make_place(struct df_buffer *buffer)
{
	size_t most = max_t(size_t, 2 * buffer->most, 16);
	struct df_slot *slots;

	if (buffer->count < buffer->most)
		return 0;
	slots = kvcalloc(most, sizeof(*slots), GFP_KERNEL_ACCOUNT);
	if (!slots)
		return -ENOMEM;
	if (buffer->slots)
		memcpy(slots, buffer->slots, buffer->count * sizeof(*slots));
	kvfree(buffer->slots);
	buffer->slots = slots;
	buffer->most = most;
	return 0;
}

/* Writes come one after the other, so some memory has to stay. */
static bool df_lacks(u64 bytes)
{
	return df_memory_lacks(bytes, totalram_pages() / 32);
}

/* Makes the last slot larger, or adds one. */
static int df_grow_slot(struct df_buffer *buffer, size_t size)
{
	bool replaces = !IS_ALIGNED(buffer->size, DF_SLOT_BYTES);
	size_t index = replaces ? buffer->count - 1 : buffer->count, done;
	size_t wanted = size - index * DF_SLOT_BYTES;
	struct df_slot slot = {};
	int error;

	/* A small file takes little memory, and any other one large pages. */
	slot.bytes = wanted > SZ_64K ? DF_SLOT_BYTES : PAGE_SIZE << get_order(wanted);
	if (slot.bytes == DF_SLOT_BYTES && df_lacks(slot.bytes))
		return -ENOMEM;
	error = df_make_place(buffer) ?: df_slot_alloc(&slot, __GFP_ZERO);
	if (error)
		return error;
	for (done = 0; replaces && done < buffer->slots[index].bytes; done += PAGE_SIZE)
		copy_highpage(df_slot_page(&slot, done),
			      df_slot_page(&buffer->slots[index], done));
	if (replaces)
		df_slot_free(&buffer->slots[index]);
	buffer->slots[index] = slot;
	buffer->count = index + 1;
	buffer->size = index * DF_SLOT_BYTES + slot.bytes;
	return 0;
}

/**
 * df_buffer_grow - have a buffer hold more
 * @buffer: of df_buffer_empty()
 * @size: bytes it holds at least afterwards; what is new is zero
 *
 * Return: 0, -ENOMEM, or -EINTR for a fatal signal: then it holds more than before, or as
 * much.
 */
int df_buffer_grow(struct df_buffer *buffer, size_t size)
{
	if (buffer->size < size && df_lacks(size - buffer->size))
		return -ENOMEM;
	while (buffer->size < size) {
		int error = fatal_signal_pending(current) ? -EINTR : df_grow_slot(buffer, size);

		if (error)
			return error;
		cond_resched();
	}
	return 0;
}

/**
 * df_buffer_shrink - free what a buffer does not need
 * @buffer: of df_buffer_empty()
 * @size: bytes that are needed of it
 */
void df_buffer_shrink(struct df_buffer *buffer, size_t size)
{
	size_t needed = DIV_ROUND_UP(size, DF_SLOT_BYTES);

	while (buffer->count > needed) {
		struct df_slot *last = &buffer->slots[--buffer->count];

		buffer->size = buffer->count * DF_SLOT_BYTES;
		df_slot_free(last);
		cond_resched();
	}
}
