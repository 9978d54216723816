// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * I/O between the pages of a dma-buf and a file: pieces of bounded size, several
 * of them in flight, each a bio_vec iterator for the file's own read_iter or
 * write_iter.  No lock is held across I/O.
 */
#include <linux/completion.h>
#include <linux/freezer.h>
#include <linux/fs.h>
#include <linux/fsnotify.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uio.h>

#include "internal.h"

/* A signal is answered after those in flight; a disk's queue is kept full. */
#define DF_PIECES	4
#define DF_PIECE_BVECS	1024
#define DF_PIECE_BYTES	SZ_16M

struct df_piece {
	struct kiocb iocb;
	struct completion done;
	struct bio_vec *bvecs;
	unsigned int count;	/* of those that are used */
	size_t length;
	ssize_t result;
	bool in_flight;
	bool direct;
	bool queued;		/* completed by df_complete() */
};

struct df_mover {
	struct df_pages *pages;
	const struct df_target *target;
	struct df_piece pieces[DF_PIECES];
	unsigned int next;	/* the oldest piece, if in flight; the next to be used */
	bool begun;
	bool stopped;		/* by an error, or the end of the file */
	int error;
	u32 how;
	u64 bytes;
};

/* May be called in any context. */
static void df_complete(struct kiocb *iocb, long result)
{
	struct df_piece *piece = container_of(iocb, struct df_piece, iocb);

	if (iocb->ki_flags & IOCB_WRITE)
		kiocb_end_write(iocb);
	piece->result = result;
	complete(&piece->done);
}

/* Waits for the oldest piece and counts what it did. */
static void df_reap(struct df_mover *mover)
{
	struct df_piece *piece = &mover->pieces[mover->next];

	if (!piece->in_flight)
		return;
	if (piece->queued) {
		wait_for_completion(&piece->done);
		/* As the VFS does for what is complete at once. */
		if (piece->result > 0 && mover->target->to_file)
			fsnotify_modify(mover->target->file);
		else if (piece->result > 0)
			fsnotify_access(mover->target->file);
	}
	piece->in_flight = false;
	if (mover->stopped)
		return;		/* behind what was missed: not counted */
	if (piece->result > 0) {
		mover->bytes += piece->result;
		mover->how |= piece->iocb.ki_flags & IOCB_DIRECT ? DMABUF_FILE_HOW_DIRECT :
								   DMABUF_FILE_HOW_BUFFERED;
	} else if (piece->result < 0) {
		mover->error = piece->result;
	}
	mover->stopped = piece->result != piece->length;
}

static void df_reap_all(struct df_mover *mover)
{
	unsigned int i;

	for (i = 0; i < DF_PIECES; i++) {
		df_reap(mover);
		mover->next = (mover->next + 1) % DF_PIECES;
	}
}

/* Nothing more is begun; what is in flight counts. */
static void df_stop(struct df_mover *mover, int error)
{
	df_reap_all(mover);
	if (!mover->stopped)
		mover->error = error;
	mover->stopped = true;
}

static void df_submit(struct df_mover *mover, struct df_piece *piece, u64 file_offset, bool wait)
{
	const struct df_target *target = mover->target;
	struct file *file = target->file;
	struct iov_iter iter;
	ssize_t result;

	iov_iter_bvec(&iter, target->to_file ? ITER_SOURCE : ITER_DEST, piece->bvecs, piece->count,
		      piece->length);
	init_sync_kiocb(&piece->iocb, file);
	piece->iocb.ki_pos = file_offset;
	piece->iocb.ki_flags &= ~IOCB_DIRECT;
	if (piece->direct)
		piece->iocb.ki_flags |= IOCB_DIRECT;
	if (target->to_file)
		piece->iocb.ki_flags |= IOCB_WRITE;
	/* Overlayfs keeps the flag only for what may complete later. */
	if (!wait || piece->direct)
		piece->iocb.ki_complete = df_complete;
	reinit_completion(&piece->done);
	piece->in_flight = true;
	mover->begun = true;
	if (target->to_file)
		result = vfs_iocb_iter_write(file, &piece->iocb, &iter);
	else
		result = vfs_iocb_iter_read(file, &piece->iocb, &iter);
	piece->queued = result == -EIOCBQUEUED;
	/* df_complete() may have been here already. */
	if (!piece->queued)
		piece->result = result;
}

/*
 * How many bytes the next piece has, and whether they are asked for directly:
 * what is not aligned at a segment's ends goes by itself.
 */
static size_t df_cut(struct df_mover *mover, const struct dmabuf_file_segment *at, bool *direct)
{
	const struct df_target *target = mover->target;
	u64 align = target->offset_align;
	u64 most = min_t(u64, at->length, DF_PIECE_BYTES);
	loff_t size = i_size_read(target->inode);
	u64 head;

	*direct = false;
	if (!target->direct)
		return most;
	/* A direct read writes zeroes behind the end of the file, as far as it is asked to. */
	if (!target->to_file && at->file_offset < size)
		most = min_t(u64, most, round_up(size - at->file_offset, align));
	head = round_up(at->file_offset, align) - at->file_offset;
	if (head >= at->length || at->length - head < align ||
	    !IS_ALIGNED(at->buffer_offset + head, target->memory_align))
		return most;
	if (head)
		return head;
	*direct = true;
	return round_down(most, align);
}

/* Fills in a piece's bio_vecs, and cuts it after those that one may have. */
static void df_fit(struct df_mover *mover, struct df_piece *piece, u64 buffer_offset)
{
	unsigned int i;
	size_t bytes = 0;

	piece->count = df_pages_bvecs(mover->pages, buffer_offset, piece->length, piece->bvecs,
				      DF_PIECE_BVECS);
	for (i = 0; i < piece->count; i++)
		bytes += piece->bvecs[i].bv_len;
	if (bytes < piece->length && piece->direct)
		bytes = round_down(bytes, mover->target->offset_align);
	piece->length = min(piece->length, bytes);
}

/*
 * Waits while the file system of a file to be written is frozen; true: a signal came
 * before it thawed.
 *
 * vfs_iocb_iter_write() would wait, too, but is deaf to signals then; so all but
 * what a freezer begins just now is waited for here.
 */
static bool df_frozen(const struct df_target *target)
{
	struct super_block *sb = target->inode->i_sb;

	if (!target->to_file || !S_ISREG(target->inode->i_mode))
		return false;
	while (!sb_start_write_trylock(sb)) {
		schedule_timeout_interruptible(HZ / 10);
		if (signal_pending(current))
			return true;
		try_to_freeze();
	}
	sb_end_write(sb);
	return false;
}

static void df_move_segment(struct df_mover *mover, struct dmabuf_file_segment at, u32 flags)
{
	const struct df_target *target = mover->target;
	struct inode *inode = file_inode(target->file);

	while (at.length && !mover->stopped) {
		struct df_piece *piece;
		bool wait;
		int error;

		df_reap(mover);
		if (mover->stopped)
			return;
		try_to_freeze();
		/* After the first piece: who calls again at each signal has to get on. */
		if (target->whole || !mover->begun ? fatal_signal_pending(current) :
						     signal_pending(current))
			return df_stop(mover, -EINTR);
		if (df_frozen(target))
			return df_stop(mover, -ERESTARTSYS);
		piece = &mover->pieces[mover->next];
		piece->length = df_cut(mover, &at, &piece->direct);
		if (!piece->direct && (flags & DMABUF_FILE_REQUIRE_DIRECT))
			return df_stop(mover, -EINVAL);
		if (mover->pages->own) {	/* LOAD's has no memory yet */
			error = df_buffer_fill(mover->pages->own, at.buffer_offset, piece->length,
					       0);
			if (error)
				return df_stop(mover, error);
		}
		df_fit(mover, piece, at.buffer_offset);
		if (!piece->length)
			return df_stop(mover, -EINVAL);
		/*
		 * Where the file grows one comes after the other, so that it is never
		 * longer than what is counted; and what goes through the page cache does
		 * not overlap with what does not.
		 */
		wait = !piece->direct || (target->to_file && S_ISREG(inode->i_mode) &&
				   at.file_offset + piece->length > i_size_read(inode));
		if (wait) {
			df_reap_all(mover);
			if (mover->stopped)
				return;
		}
		df_submit(mover, piece, at.file_offset, wait);
		at.buffer_offset += piece->length;
		at.file_offset += piece->length;
		at.length -= piece->length;
		mover->next = (mover->next + 1) % DF_PIECES;
		if (wait)
			df_reap_all(mover);
		cond_resched();
	}
}

static bool df_has_pages(const struct df_target *target, const struct dmabuf_file_segment *segments,
			 u32 count)
{
	struct address_space *mapping = target->inode->i_mapping;
	u32 i;

	for (i = 0; i < count; i++) {
		u64 align = target->offset_align;
		u64 start = round_up(segments[i].file_offset, align);
		u64 end = round_down(segments[i].file_offset + segments[i].length, align);

		if (start < end && filemap_range_has_page(mapping, start, end - 1))
			return true;
	}
	return false;
}

/**
 * df_move - move bytes between the pages of a dma-buf and a file
 * @pages: of the dma-buf
 * @target: the file
 * @segments: checked to lie within the dma-buf, and not to overflow
 * @count: of @segments
 * @flags: of the ioctl
 * @how: out: DMABUF_FILE_HOW_DIRECT, _BUFFERED
 * @bytes: out: what was moved without a gap from the first segment's start
 *
 * Return: 0, or what ended it before all was moved, other than the file's end.
 */
int df_move(struct df_pages *pages, const struct df_target *target,
	    const struct dmabuf_file_segment *segments, u32 count,
	    u32 flags, u32 *how, u64 *bytes)
{
	struct df_mover *mover = kzalloc(sizeof(*mover), GFP_KERNEL);
	bool cached_before;
	int error = -ENOMEM;
	u32 i;

	if (!mover)
		return -ENOMEM;
	mover->pages = pages;
	mover->target = target;
	for (i = 0; i < DF_PIECES; i++) {
		init_completion(&mover->pieces[i].done);
		mover->pieces[i].bvecs = kvmalloc_array(DF_PIECE_BVECS, sizeof(struct bio_vec),
							GFP_KERNEL);
		if (!mover->pieces[i].bvecs)
			goto out;
	}
	cached_before = target->direct && df_has_pages(target, segments, count);
	for (i = 0; i < count && !mover->stopped; i++)
		df_move_segment(mover, segments[i], flags);
	df_reap_all(mover);
	/*
	 * File systems fall back without a word; then there are pages of the file,
	 * where direct I/O leaves none: a write drops them, and a read makes none.
	 */
	if ((mover->how & DMABUF_FILE_HOW_DIRECT) && (target->to_file || !cached_before) &&
	    !(mover->how & DMABUF_FILE_HOW_BUFFERED) && df_has_pages(target, segments, count))
		mover->how = DMABUF_FILE_HOW_BUFFERED;
	*how |= mover->how;
	*bytes = mover->bytes;
	error = mover->error;
out:
	for (i = 0; i < DF_PIECES; i++)
		kvfree(mover->pieces[i].bvecs);
	kfree(mover);
	return error;
}
