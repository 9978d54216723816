// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * LOAD: a buffer that is filled by DMA before anybody can see it.  So its memory need
 * not be zeroed first, and is allocated while what there is of it is read into.  What
 * was not read is zeroed before the buffer is exported.
 */
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/sort.h>

#include "heap.h"

static int df_compare(const void *a, const void *b)
{
	const struct dmabuf_file_segment *first = a, *second = b;

	if (first->buffer_offset == second->buffer_offset)
		return 0;
	return first->buffer_offset < second->buffer_offset ? -1 : 1;
}

static bool df_overlap(struct dmabuf_file_segment *sorted, u32 count)
{
	u32 i;

	for (i = 1; i < count; i++)
		if (sorted[i - 1].buffer_offset + sorted[i - 1].length > sorted[i].buffer_offset)
			return true;
	return false;
}

/* Whether all can be read directly; known before anything is read for nothing. */
static bool df_aligned(const struct df_target *target, const struct dmabuf_file_segment *segments,
		       u32 count)
{
	u32 i;

	for (i = 0; i < count; i++)
		if (!IS_ALIGNED(segments[i].file_offset, target->offset_align) ||
		    !IS_ALIGNED(segments[i].length, target->offset_align) ||
		    !IS_ALIGNED(segments[i].buffer_offset, target->memory_align))
			return false;
	return true;
}

/* Every byte but the first @bytes that were read becomes zero, unless it is that already. */
static void df_zero_rest(struct df_buffer *buffer, struct dmabuf_file_segment *segments, u32 count,
			 u64 bytes)
{
	bool dirty = !want_init_on_alloc(GFP_HIGHUSER);
	size_t at = 0;
	u32 i;

	for (i = 0; i < count; i++) {
		u64 counted = min(segments[i].length, bytes);

		/* Reads beyond the one that came short may have run. */
		dirty |= counted < segments[i].length;
		segments[i].length = counted;
		bytes -= counted;
	}
	if (!dirty)
		return;
	sort(segments, count, sizeof(*segments), df_compare, NULL);
	for (i = 0; i < count; i++) {
		df_buffer_zero(buffer, at, segments[i].buffer_offset);
		at = segments[i].buffer_offset + segments[i].length;
	}
	df_buffer_zero(buffer, at, buffer->size);
}

static int df_load_into(struct df_buffer *buffer, const struct df_target *target,
			struct dmabuf_file_load *arg, struct dmabuf_file_segment *segments)
{
	struct df_pages pages = { .own = buffer };
	int error;

	arg->how = DMABUF_FILE_HOW_OWN_PAGES;
	error = df_move(&pages, target, segments, arg->segment_count, arg->flags, &arg->how,
			&arg->bytes);
	/* What no segment touches has to be there, too. */
	error = error ?: df_buffer_fill(buffer, 0, buffer->size, 0);
	if (error)
		return error;
	df_zero_rest(buffer, segments, arg->segment_count, arg->bytes);
	return fatal_signal_pending(current) ? -EINTR : 0;
}

int df_load(struct dmabuf_file_load *arg, struct df_new *new)
{
	struct dmabuf_file_segment *segments, *sorted = NULL;
	struct df_target target;
	struct df_buffer *buffer;
	int error;

	arg->dmabuf_fd = -1;
	arg->how = 0;
	arg->bytes = 0;
	if ((arg->flags & ~(DMABUF_FILE_REQUIRE_DIRECT | DMABUF_FILE_INTERRUPTIBLE)) ||
	    arg->reserved || !df_fd_flags_valid(arg->fd_flags))
		return -EINVAL;
	segments = df_copy_segments(arg->segments, arg->segment_count, PAGE_ALIGN(arg->length));
	if (IS_ERR(segments))
		return PTR_ERR(segments);
	error = -ENOMEM;
	sorted = kvmemdup(segments, arg->segment_count * sizeof(*segments), GFP_KERNEL);
	if (!sorted)
		goto out;
	sort(sorted, arg->segment_count, sizeof(*sorted), df_compare, NULL);
	error = -EINVAL;
	if (df_overlap(sorted, arg->segment_count))
		goto out;
	error = df_target_get(&target, arg->file_fd, arg->flags);
	if (error)
		goto out;
	target.whole = !(arg->flags & DMABUF_FILE_INTERRUPTIBLE);
	error = -EINVAL;
	if ((arg->flags & DMABUF_FILE_REQUIRE_DIRECT) &&
	    !df_aligned(&target, sorted, arg->segment_count))
		goto put;
	buffer = df_buffer_new(arg->length);
	error = PTR_ERR_OR_ZERO(buffer);
	if (error)
		goto put;
	error = df_load_into(buffer, &target, arg, segments);
	if (error)
		df_buffer_free(buffer);
	else
		error = df_buffer_export(buffer, arg->fd_flags, new, &arg->dmabuf_fd);
put:
	df_target_put(&target);
out:
	kvfree(sorted);
	kvfree(segments);
	return error;
}
