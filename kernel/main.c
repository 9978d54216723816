// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * /dev/dmabuf_file: its ioctls, and the same as commands of io_uring.
 */
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/io_uring/cmd.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "internal.h"

union df_argument {
	struct dmabuf_file_query query;
	struct dmabuf_file_transfer transfer;
	struct dmabuf_file_alloc alloc;
	struct dmabuf_file_load load;
	struct dmabuf_file_open open;
	struct dmabuf_file_bind bind;
};

static int df_query(struct dmabuf_file_query *query)
{
	if (query->flags || query->reserved[0] || query->reserved[1])
		return -EINVAL;
	query->version = DMABUF_FILE_VERSION;
	query->max_segments = DF_MAX_SEGMENTS;
	query->features = DMABUF_FILE_HAS_TRANSFER | DMABUF_FILE_HAS_ALLOC | DMABUF_FILE_HAS_LOAD |
			  DMABUF_FILE_HAS_OPEN | DMABUF_FILE_HAS_ROOM;
	if (IS_ENABLED(CONFIG_IO_URING))
		query->features |= DMABUF_FILE_HAS_URING;
	return 0;
}

static size_t df_size_of(unsigned int command)
{
	switch (command) {
	case DMABUF_FILE_QUERY:
		return sizeof(struct dmabuf_file_query);
	case DMABUF_FILE_TRANSFER:
		return sizeof(struct dmabuf_file_transfer);
	case DMABUF_FILE_ALLOC:
		return sizeof(struct dmabuf_file_alloc);
	case DMABUF_FILE_LOAD:
		return sizeof(struct dmabuf_file_load);
	case DMABUF_FILE_OPEN:
		return sizeof(struct dmabuf_file_open);
	case DMABUF_FILE_BIND:
		return sizeof(struct dmabuf_file_bind);
	}
	return 0;
}

static int df_dispatch(unsigned int command, union df_argument *arg, struct df_new *new)
{
	switch (command) {
	case DMABUF_FILE_QUERY:
		return df_query(&arg->query);
	case DMABUF_FILE_TRANSFER:
		return df_transfer(&arg->transfer);
	case DMABUF_FILE_ALLOC:
		return df_alloc(&arg->alloc, new);
	case DMABUF_FILE_LOAD:
		return df_load(&arg->load, new);
	case DMABUF_FILE_OPEN:
		return df_open(&arg->open, new);
	default:
		return df_bind(&arg->bind);
	}
}

static void df_publish(struct df_new *new, bool told)
{
	if (!new->file)
		return;
	if (told) {
		fd_install(new->fd, new->file);
	} else {
		put_unused_fd(new->fd);
		fput(new->file);
	}
}

static int df_run(unsigned int command, void __user *user)
{
	size_t size = df_size_of(command);
	struct df_new new = {};
	union df_argument arg;
	u32 user_size;
	int error;

	if (!size)
		return -ENOTTY;
	if (get_user(user_size, (u32 __user *)user))
		return -EFAULT;
	/* All are of their first version: none may be shorter. */
	if (user_size < size)
		return -EINVAL;
	if (user_size > PAGE_SIZE)
		return -E2BIG;
	error = copy_struct_from_user(&arg, size, user, user_size);
	if (error)
		return error;
	error = df_dispatch(command, &arg, &new);
	/* Only what goes on where it was may be begun again without the caller's knowing. */
	if (error == -ERESTARTSYS && command != DMABUF_FILE_TRANSFER)
		error = -EINTR;
	if (copy_to_user(user, &arg, size))
		error = -EFAULT;
	df_publish(&new, !error);
	return error;
}

static long df_ioctl(struct file *file, unsigned int command, unsigned long user)
{
	return df_run(command, (void __user *)user);
}

/*
 * All of them may wait, so a worker of the ring runs them: it has the caller's
 * memory, descriptors and credentials.
 */
static int df_uring_command(struct io_uring_cmd *command, unsigned int issue_flags)
{
	int error;

	if (issue_flags & IO_URING_F_NONBLOCK)
		return -EAGAIN;
	error = df_run(command->cmd_op, u64_to_user_ptr(READ_ONCE(command->sqe->addr)));
	return error == -ERESTARTSYS ? -EINTR : error;
}

static const struct file_operations df_operations = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = df_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.uring_cmd = df_uring_command,
	.llseek = noop_llseek,
};

/* What it gives, its caller could have without it: the files and dma-bufs are its own. */
static struct miscdevice df_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "dmabuf_file",
	.fops = &df_operations,
	.mode = 0660,
};

static int __init df_init(void)
{
	int error = df_pages_init();

	if (error)
		return error;
	/* Last: from here on it is used. */
	error = misc_register(&df_misc);
	if (error)
		df_pages_exit();
	return error;
}

static void __exit df_exit(void)
{
	misc_deregister(&df_misc);
	df_pages_exit();
}

module_init(df_init);
module_exit(df_exit);

MODULE_DESCRIPTION("Direct I/O between regular files and dma-bufs, and dma-bufs as regular files");
MODULE_VERSION("0.2.0");
MODULE_LICENSE("Dual MIT/GPL");
DF_IMPORT_DMA_BUF;
