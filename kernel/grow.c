// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Buffers that get their memory as it is needed.  It is not zeroed: what nobody has
 * written is for the caller to hide.
 */
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "heap.h"

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
	error = df_make_place(buffer) ?: df_slot_alloc(&slot, 0);
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
 * @size: bytes it holds at least afterwards; what is new is not zeroed
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
