// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * For tests: the device of a dmabuf_file whose interface is another.
 */
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/uaccess.h>

#include "dmabuf_file.h"

static long other_ioctl(struct file *file, unsigned int command, unsigned long arg)
{
	const struct dmabuf_file_query said = {
		.size = sizeof(said),
		.version = DMABUF_FILE_VERSION + 1,
		.features = ~0ull,
	};

	if (command != DMABUF_FILE_QUERY)
		return -ENOTTY;
	return copy_to_user((void __user *)arg, &said, sizeof(said)) ? -EFAULT : 0;
}

static const struct file_operations other_operations = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = other_ioctl,
};

static struct miscdevice other_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "dmabuf_file",
	.fops = &other_operations,
	.mode = 0600,
};
module_misc_device(other_device);

MODULE_DESCRIPTION("A device that is not the one of dmabuf_file");
MODULE_LICENSE("Dual MIT/GPL");
