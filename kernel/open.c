// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * OPEN: a regular file over a dma-buf, so that what wants a file (FUSE
 * passthrough above all) can have one.  A dma-buf's own inode is neither regular
 * nor can it be opened a second time.
 *
 * Passthrough opens a backing file anew by its path, so all state hangs on the
 * inode, and each open is the same file.
 */
#include <linux/cred.h>
#include <linux/dma-buf.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/fs_context.h>
#include <linux/module.h>
#include <linux/mount.h>
#include <linux/pseudo_fs.h>
#include <linux/slab.h>

#include "file.h"
#include "heap.h"

#define DF_FS_MAGIC 0x64627566	/* "dbuf" */

static struct vfsmount *df_mount;
static int df_mount_count;

static void df_evict_inode(struct inode *inode)
{
	struct df_file *state = df_file_of(inode);

	clear_inode(inode);
	if (!state)	/* the root's */
		return;
	if (state->dmabuf) {
		df_pages_put(&state->pages);
		dma_buf_put(state->dmabuf);
	}
	df_buffer_free(state->tail);
	kfree(state);
}

static const struct super_operations df_super_operations = {
	.evict_inode = df_evict_inode,
	.statfs = simple_statfs,
};

static int df_init_fs_context(struct fs_context *context)
{
	struct pseudo_fs_context *pseudo = init_pseudo(context, DF_FS_MAGIC);

	if (!pseudo)
		return -ENOMEM;
	pseudo->ops = &df_super_operations;
	return 0;
}

/*
 * Mounted while there are open files, each of which holds the mount twice: by its
 * path, and by simple_pin_fs() until its release.  The superblock has a reference
 * to this module, which outlasts the last call into it.
 */
static struct file_system_type df_fs_type = {
	.owner = THIS_MODULE,
	.name = "dmabuf_file",
	.init_fs_context = df_init_fs_context,
	.kill_sb = kill_anon_super,
};

int df_fs_pin(void)
{
	return simple_pin_fs(&df_fs_type, &df_mount, &df_mount_count);
}

void df_fs_unpin(void)
{
	simple_release_fs(&df_mount, &df_mount_count);
}

bool df_is_open_file(struct file *file)
{
	return file->f_op == &df_file_operations;
}

static struct inode *df_inode_new(u64 room, bool read_only)
{
	struct df_file *state = kzalloc(sizeof(*state), GFP_KERNEL_ACCOUNT);
	struct inode *inode;

	if (!state)
		return ERR_PTR(-ENOMEM);
	init_rwsem(&state->lock);
	spin_lock_init(&state->mapping_lock);
	state->room = room;
	state->read_only = read_only;
	inode = new_inode(df_mount->mnt_sb);
	if (!inode) {
		kfree(state);
		return ERR_PTR(-ENOMEM);
	}
	inode->i_ino = get_next_ino();
	inode->i_mode = S_IFREG | (read_only ? 0400 : 0600);
	inode->i_uid = current_fsuid();
	inode->i_gid = current_fsgid();
	inode->i_op = &df_inode_operations;
	inode->i_fop = &df_file_operations;
	inode->i_private = state;
	simple_inode_init_ts(inode);
	clear_nlink(inode);	/* as a memfd: watches of it end with its last close */
	return inode;
}

/* With the file system pinned for the file that is made. */
static struct file *df_file_make(struct dma_buf *dmabuf, const struct dmabuf_file_open *arg,
				 bool read_only)
{
	struct inode *inode = df_inode_new(arg->room, read_only);
	struct file *file;
	int error;

	if (IS_ERR(inode))
		return ERR_CAST(inode);
	if (dmabuf) {
		struct df_binding binding = { .dmabuf = dmabuf, .length = arg->length };

		error = df_bind_to(inode, &binding);
		if (error) {
			iput(inode);
			return ERR_PTR(error);
		}
	}
	/* As for a file that is opened: its last close lets the module go. */
	__module_get(THIS_MODULE);
	file = alloc_file_pseudo(inode, df_mount, "dmabuf_file",
				 (arg->fd_flags & O_ACCMODE) | O_LARGEFILE,
				 &df_file_operations);
	if (IS_ERR(file)) {
		module_put(THIS_MODULE);
		iput(inode);
	} else {
		file->f_mode |= FMODE_LSEEK | FMODE_PREAD | FMODE_PWRITE | FMODE_CAN_ODIRECT;
	}
	return file;
}

static struct file *df_file_new(struct dma_buf *dmabuf, const struct dmabuf_file_open *arg)
{
	bool for_reading = (arg->fd_flags & O_ACCMODE) == O_RDONLY;
	bool read_only = dmabuf && !(dmabuf->file->f_mode & FMODE_WRITE);
	struct file *file;
	int error;

	if (read_only && !for_reading)
		return ERR_PTR(-EACCES);
	/* What was asked for reading stays so, whoever opens it by its path. */
	read_only |= dmabuf && for_reading;
	error = df_fs_pin();
	if (error)
		return ERR_PTR(error);
	file = df_file_make(dmabuf, arg, read_only);
	if (IS_ERR(file))
		df_fs_unpin();
	return file;
}

/*
 * OPEN: an inode of its own, and a descriptor of it.
 */
int df_open(struct dmabuf_file_open *arg, struct df_new *new)
{
	struct dma_buf *dmabuf = NULL;
	struct file *file;

	arg->file_fd = -1;
	if (!df_fd_flags_valid(arg->fd_flags) || (arg->dmabuf_fd == -1 && arg->length) ||
	    (arg->room && (arg->fd_flags & O_ACCMODE) == O_RDONLY))
		return -EINVAL;
	if (arg->dmabuf_fd != -1) {
		dmabuf = dma_buf_get(arg->dmabuf_fd);
		if (IS_ERR(dmabuf))
			return PTR_ERR(dmabuf);
		if (!(dmabuf->file->f_mode & FMODE_READ)) {
			dma_buf_put(dmabuf);
			return -EBADF;
		}
	}
	file = df_file_new(dmabuf, arg);
	if (dmabuf)
		dma_buf_put(dmabuf);
	if (IS_ERR(file))
		return PTR_ERR(file);
	return df_new_descriptor(new, file, arg->fd_flags, &arg->file_fd);
}
