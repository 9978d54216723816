/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What differs between the kernels this module is for: all that depends on a
 * version is here.
 */
#ifndef DMABUF_FILE_COMPAT_H
#define DMABUF_FILE_COMPAT_H

#include <linux/device.h>
#include <linux/stat.h>
#include <linux/version.h>

#if KERNEL_VERSION(6, 13, 0) <= LINUX_VERSION_CODE
#define DF_IMPORT_DMA_BUF MODULE_IMPORT_NS("DMA_BUF")
#else
#define DF_IMPORT_DMA_BUF MODULE_IMPORT_NS(DMA_BUF)
#endif

/* Renamed in 6.17. */
#if KERNEL_VERSION(6, 17, 0) <= LINUX_VERSION_CODE
#define df_fileattr file_kattr
#else
#define df_fileattr fileattr
#endif

/* New in 6.14; before that reads need what writes do. */
#ifndef STATX_DIO_READ_ALIGN
#define STATX_DIO_READ_ALIGN 0
#define dio_read_offset_align dio_offset_align
#endif

static inline void df_never_sync(struct device *device)
{
#if defined(CONFIG_ARCH_HAS_SYNC_DMA_FOR_DEVICE) || defined(CONFIG_ARCH_HAS_SYNC_DMA_FOR_CPU) || \
	defined(CONFIG_ARCH_HAS_SYNC_DMA_FOR_CPU_ALL)
	device->dma_coherent = true;
#endif
}

#endif /* DMABUF_FILE_COMPAT_H */
