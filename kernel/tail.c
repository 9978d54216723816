// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * What is written beyond a file's dma-buf: a dma-buf can't grow, and how large it has
 * to be is known when all is written.  Until then the bytes are in memory of our own,
 * which begins where the dma-buf ends.
 */
#include <linux/dma-buf.h>
#include <linux/fs.h>
#include <linux/highmem.h>
#include <linux/sched/signal.h>

#include "file.h"
#include "heap.h"

/* Up to where there is memory, and room. */
size_t df_reach(const struct df_file *state)
{
	return df_capacity(state) + (state->tail ? min_t(u64, state->tail->size, state->room) : 0);
}

struct page *df_file_page(const struct df_file *state, size_t offset)
{
	size_t capacity = df_capacity(state), bytes;

	if (offset < capacity)
		return df_pages_at(&state->pages, offset);
	return df_buffer_page(state->tail, offset - capacity, &bytes);
}

/* Whether to go on with work that takes long; asked after each page. */
static bool df_may_go_on(size_t at)
{
	if (!IS_ALIGNED(at, SZ_2M))
		return true;
	cond_resched();
	return !fatal_signal_pending(current);
}

/* -EINTR: a fatal signal. */
int df_zero(struct df_file *state, size_t from, size_t to)
{
	size_t capacity = df_capacity(state), start = from;

	while (from < to) {
		size_t bytes = min_t(size_t, to - from, PAGE_SIZE - offset_in_page(from));

		memzero_page(df_file_page(state, from), offset_in_page(from), bytes);
		from += bytes;
		if (!df_may_go_on(from))
			break;
	}
	if (start < min(from, capacity))
		df_pages_dirty(&state->pages, start, min(from, capacity) - start);
	return from < to ? -EINTR : 0;
}

/* Whether there may be anything beyond the dma-buf; then it can't be mapped. */
static bool df_go_beyond(struct df_file *state)
{
	spin_lock(&state->mapping_lock);
	state->beyond = !state->mapping && !state->fixed;
	spin_unlock(&state->mapping_lock);
	return state->beyond;
}

/*
 * Memory up to @end, of which what lies before @from alone is worth nothing; or with an
 * error as far as there is some (df_reach()).
 * -ENOSPC: no room; -EBUSY: the dma-buf has to stay; -EFBIG, -ENOMEM, -EINTR.
 */
int df_extend(struct df_file *state, u64 from, u64 end)
{
	u64 capacity = df_capacity(state), wanted = end - capacity;
	int error;

	if (end <= capacity)
		return 0;
	if (!state->room || (from >= capacity && from - capacity >= state->room))
		return -ENOSPC;
	if (READ_ONCE(state->fixed))
		return -EBUSY;
	if (end > SIZE_MAX - SZ_2M)
		return -EFBIG;
	if (!state->tail)
		state->tail = df_buffer_empty();
	if (!state->tail)
		return -ENOMEM;
	error = df_buffer_grow(state->tail, min(wanted, state->room));
	if (state->tail->size && !df_go_beyond(state)) {
		df_buffer_shrink(state->tail, 0);
		return -EBUSY;
	}
	return error ?: wanted > state->room ? -ENOSPC : 0;
}

/* What was written beyond the dma-buf, for df_buffer_free(); may be NULL. */
struct df_buffer *df_tail_take(struct df_file *state)
{
	struct df_buffer *tail = state->tail;

	state->tail = NULL;
	spin_lock(&state->mapping_lock);
	state->beyond = false;
	spin_unlock(&state->mapping_lock);
	return tail;
}

/* Frees memory beyond the end of the file. */
void df_tail_trim(struct inode *inode)
{
	struct df_file *state = df_file_of(inode);
	size_t size = i_size_read(inode), capacity = df_capacity(state);

	if (!state->tail)
		return;
	if (size > capacity)
		df_buffer_shrink(state->tail, size - capacity);
	else
		df_buffer_free(df_tail_take(state));
}

/* Copies the first @size bytes into another dma-buf, which has zeroes from there to @length. */
int df_copy_all(const struct df_file *state, size_t size, size_t length, struct df_pages *pages)
{
	size_t at;

	for (at = 0; at < length; at += PAGE_SIZE) {
		struct page *page = df_pages_at(pages, at);
		size_t copied = at < size ? min_t(size_t, size - at, PAGE_SIZE) : 0;

		if (copied)
			memcpy_page(page, 0, df_file_page(state, at), 0, copied);
		memzero_page(page, copied, min_t(size_t, length - at, PAGE_SIZE) - copied);
		if (!df_may_go_on(at))
			return -EINTR;
	}
	df_pages_dirty(pages, 0, length);
	return 0;
}
