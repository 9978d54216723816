// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * The pages of a dma-buf.
 *
 * The documented ways for a CPU are dma_buf_vmap() and mmap(2); an sg_table is
 * made for a device's DMA engine, and what its pages mean is the exporter's
 * affair.  So pages out of it are used only for exporters of which this was
 * tested, page by page, on the kernels this module is for (tests/kernel), or
 * where both ways agree about every single page.  See docs/kernel.md.
 */
#include <linux/dma-buf.h>
#include <linux/dma-direction.h>
#include <linux/dma-resv.h>
#include <linux/memremap.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/pagemap.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/vmalloc.h>

#include "internal.h"

enum df_method {
	DF_NONE,
	DF_SG,		/* the sg_table names the buffer's pages, in order */
	DF_VMAP,	/* the kernel mapping has the buffer's pages, in order */
	DF_BOTH,	/* the one, if it has the same pages as the other */
};

/*
 * By name, since dma_buf_ops are static.  Names are not the user's to choose:
 * exporters are kernel code.
 */
static enum df_method df_method_of(const struct dma_buf *dmabuf)
{
	const char *name = dmabuf->exp_name;
	/* Importers get no pages in their tables. */
	bool hidden = IS_ENABLED(CONFIG_DMABUF_DEBUG);

	/*
	 * Since 6.12 vmap_udmabuf() has mapped the first page of a huge folio
	 * in place of each of its pages.
	 */
	if (!strcmp(name, "udmabuf"))
		return hidden ? DF_NONE : DF_SG;
	if (!strcmp(name, "system"))
		return hidden ? DF_VMAP : DF_SG;
	/* The name of many drivers, of which only those were tested that use shmem. */
	if (!strcmp(name, "drm") && hidden)
		return DF_VMAP;
	return hidden ? DF_NONE : DF_BOTH;
}

static bool df_is_memory(struct page *page)
{
	return page && pfn_valid(page_to_pfn(page)) && !is_zone_device_page(page);
}

/* Every entry is ordinary memory, and together they are the whole buffer. */
static bool df_table_is_memory(struct sg_table *table, size_t size)
{
	struct scatterlist *sg;
	size_t sum = 0;
	unsigned int i;

	for_each_sgtable_sg(table, sg, i) {
		struct page *first = sg_page(sg);
		unsigned long pages = DIV_ROUND_UP((size_t)sg->offset + sg->length, PAGE_SIZE);

		if (!sg->length || !df_is_memory(first) ||
		    !df_is_memory(pfn_to_page(page_to_pfn(first) + pages - 1)))
			return false;
		sum += sg->length;
	}
	return sum >= size;
}

static struct page *df_mapped_page(const struct iosys_map *map, size_t offset)
{
	const void *address = map->vaddr + offset;

	if (is_vmalloc_addr(address))
		return vmalloc_to_page(address);
	return virt_addr_valid(address) ? virt_to_page(address) : NULL;
}

static bool df_map_is_memory(const struct iosys_map *map, size_t size)
{
	size_t offset;

	if (map->is_iomem || offset_in_page(map->vaddr))
		return false;
	for (offset = 0; offset < size; offset += PAGE_SIZE) {
		if (!df_is_memory(df_mapped_page(map, offset)))
			return false;
		if (!(offset % SZ_64M))
			cond_resched();
	}
	return true;
}

static int df_map_table(struct df_pages *pages)
{
	struct dma_buf_attachment *attachment;
	struct sg_table *table;

	attachment = dma_buf_attach(pages->dmabuf, df_device());
	if (IS_ERR(attachment))
		return PTR_ERR(attachment);
	/* Exporters may keep the mapping of an attachment for all directions. */
	table = dma_buf_map_attachment_unlocked(attachment, DMA_BIDIRECTIONAL);
	if (IS_ERR(table)) {
		dma_buf_detach(pages->dmabuf, attachment);
		return PTR_ERR(table);
	}
	pages->attachment = attachment;
	pages->table = table;
	if (df_table_is_memory(table, pages->dmabuf->size))
		return 0;
	return -EOPNOTSUPP;
}

static void df_unmap_table(struct df_pages *pages)
{
	if (!pages->attachment)
		return;
	dma_buf_unmap_attachment_unlocked(pages->attachment, pages->table, DMA_BIDIRECTIONAL);
	dma_buf_detach(pages->dmabuf, pages->attachment);
	pages->attachment = NULL;
	pages->table = NULL;
}

static void df_unmap_kernel(struct df_pages *pages)
{
	if (!iosys_map_is_null(&pages->map))
		dma_buf_vunmap_unlocked(pages->dmabuf, &pages->map);
	iosys_map_clear(&pages->map);
}

static int df_map_kernel(struct df_pages *pages)
{
	int error = dma_buf_vmap_unlocked(pages->dmabuf, &pages->map);

	if (error) {
		iosys_map_clear(&pages->map);
		return error;
	}
	if (df_map_is_memory(&pages->map, pages->dmabuf->size))
		return 0;
	df_unmap_kernel(pages);
	return -EOPNOTSUPP;
}

/* The page at @offset as the table says, or NULL where no whole page lies there. */
static struct page *df_table_page(struct df_pages *pages, size_t offset)
{
	struct bio_vec bvec;

	df_pages_bvecs(pages, offset, PAGE_SIZE, &bvec, 1);
	return bvec.bv_offset || bvec.bv_len < PAGE_SIZE ? NULL : bvec.bv_page;
}

static bool df_both_agree(struct df_pages *pages)
{
	size_t offset;

	for (offset = 0; offset < pages->dmabuf->size; offset += PAGE_SIZE) {
		if (df_table_page(pages, offset) != df_mapped_page(&pages->map, offset))
			return false;
		if (!(offset % SZ_64M))
			cond_resched();
	}
	return true;
}

/*
 * An exporter nobody has tested: its two ways are held against each other.  The
 * table comes first: what has no pages is then not mapped, and the kernel warns of
 * a mapping that an exporter refuses.
 */
static int df_map_both(struct df_pages *pages)
{
	int error = df_map_table(pages) ?: df_map_kernel(pages);

	if (!error && !df_both_agree(pages))
		error = -EOPNOTSUPP;
	df_unmap_table(pages);
	if (error)
		df_unmap_kernel(pages);
	return error;
}

/**
 * df_pages_get - find the pages of a dma-buf and keep them in place
 * @pages: filled
 * @dmabuf: the caller's reference must outlive @pages
 *
 * No lock is held afterwards.  May wait for the exporter's fences.
 *
 * Return: 0; -EOPNOTSUPP: it has none that a CPU or any disk could use, or
 * nothing is known about them; -ENOMEM, -EINTR, -ERESTARTSYS.
 */
int df_pages_get(struct df_pages *pages, struct dma_buf *dmabuf)
{
	int error;

	memset(pages, 0, sizeof(*pages));
	pages->dmabuf = dmabuf;
	pages->own = df_buffer_of(dmabuf);
	if (pages->own) {
		pages->how = DMABUF_FILE_HOW_OWN_PAGES;
		return 0;
	}
	/* Without it a CPU's copy would stay in a cache that devices don't look into. */
	if (!IS_ENABLED(CONFIG_X86) && !dmabuf->ops->end_cpu_access)
		return -EOPNOTSUPP;
	switch (df_method_of(dmabuf)) {
	case DF_SG:
		pages->how = DMABUF_FILE_HOW_SG;
		error = df_map_table(pages);
		break;
	case DF_VMAP:
		pages->how = DMABUF_FILE_HOW_VMAP;
		error = df_map_kernel(pages);
		break;
	case DF_BOTH:
		pages->how = DMABUF_FILE_HOW_VMAP;
		error = df_map_both(pages);
		break;
	default:
		error = -EOPNOTSUPP;
	}
	if (!error)
		return 0;
	df_pages_put(pages);
	return error == -ENOMEM || error == -EINTR || error == -ERESTARTSYS ? error : -EOPNOTSUPP;
}

void df_pages_put(struct df_pages *pages)
{
	df_unmap_table(pages);
	df_unmap_kernel(pages);
	kvfree(pages->index);
	pages->index = NULL;
}

/**
 * df_pages_index - make every page quick to find, by several threads at once
 * @pages: held for long
 *
 * Return: 0, -ENOMEM, or -EOPNOTSUPP: the buffer does not consist of whole pages.
 */
int df_pages_index(struct df_pages *pages)
{
	size_t count = DIV_ROUND_UP(pages->dmabuf->size, PAGE_SIZE), i;

	if (!IS_ALIGNED(pages->dmabuf->size, PAGE_SIZE))
		return -EOPNOTSUPP;
	if (pages->own)
		return 0;
	pages->index = kvmalloc_array(count, sizeof(struct page *), GFP_KERNEL_ACCOUNT);
	if (!pages->index)
		return -ENOMEM;
	for (i = 0; i < count; i++) {
		pages->index[i] = pages->table ? df_table_page(pages, i << PAGE_SHIFT)
					       : df_mapped_page(&pages->map, i << PAGE_SHIFT);
		if (!pages->index[i])
			return -EOPNOTSUPP;
	}
	return 0;
}

/**
 * df_pages_at - the page that holds a byte
 * @pages: with their index
 * @offset: within the buffer
 */
struct page *df_pages_at(const struct df_pages *pages, size_t offset)
{
	size_t bytes;

	if (pages->own)
		return df_buffer_page(pages->own, offset, &bytes);
	return pages->index[offset >> PAGE_SHIFT];
}

/* Sets pages->sg to the entry that holds @offset. */
static void df_seek(struct df_pages *pages, size_t offset)
{
	if (!pages->sg || offset < pages->sg_start) {
		pages->sg = pages->table->sgl;
		pages->sg_start = 0;
	}
	while (offset >= pages->sg_start + pages->sg->length) {
		pages->sg_start += pages->sg->length;
		pages->sg = sg_next(pages->sg);
	}
}

/**
 * df_pages_bvecs - describe a range of the buffer
 * @pages: of the buffer
 * @offset: where the range begins
 * @length: of the range, which lies within the buffer
 * @bvecs: filled
 * @most: how many there may be; the range is cut short after them
 *
 * Return: how many there are.
 */
unsigned int df_pages_bvecs(struct df_pages *pages, size_t offset, size_t length,
			    struct bio_vec *bvecs, unsigned int most)
{
	unsigned int count = 0;

	while (length && count < most) {
		struct page *page;
		size_t bytes, skip;

		if (pages->own) {
			page = df_buffer_page(pages->own, offset, &bytes);
			bytes = min(length, bytes);
			skip = offset;
		} else if (pages->table) {
			df_seek(pages, offset);
			skip = offset - pages->sg_start;
			bytes = min(length, pages->sg->length - skip);
			skip += pages->sg->offset;
			/* Within an entry pages follow each other. */
			page = pfn_to_page(page_to_pfn(sg_page(pages->sg)) + skip / PAGE_SIZE);
		} else {
			page = df_mapped_page(&pages->map, offset);
			bytes = min(length, PAGE_SIZE - offset_in_page(offset));
			skip = offset;
		}
		bvec_set_page(&bvecs[count++], page, bytes, offset_in_page(skip));
		offset += bytes;
		length -= bytes;
	}
	return count;
}

/* The page at @offset; @bytes: how many from there on lie in its folio, one after the other. */
static struct page *df_stretch(struct df_pages *pages, size_t offset, size_t *bytes)
{
	struct bio_vec bvec;
	size_t in_folio;

	if (pages->index) {
		*bytes = PAGE_SIZE - offset_in_page(offset);
		return pages->index[offset >> PAGE_SHIFT];
	}
	df_pages_bvecs(pages, offset, SZ_1G, &bvec, 1);
	in_folio = folio_page_idx(page_folio(bvec.bv_page), bvec.bv_page) * PAGE_SIZE +
		   bvec.bv_offset;
	*bytes = min(bvec.bv_len, folio_size(page_folio(bvec.bv_page)) - in_folio);
	return bvec.bv_page;
}

/**
 * df_pages_dirty - note that a range was written to
 * @pages: of the buffer
 * @offset: where the range begins
 * @length: of the range, which lies within the buffer
 *
 * A buffer may be made of a file in memory (udmabuf), whose pages reclaim would
 * drop as clean once the buffer is gone.
 */
void df_pages_dirty(struct df_pages *pages, size_t offset, size_t length)
{
	size_t end = offset + length, bytes;

	for (; !pages->own && offset < end; offset += bytes) {
		struct folio *folio = page_folio(df_stretch(pages, offset, &bytes));

		if (READ_ONCE(folio->mapping) && !folio_test_dirty(folio)) {
			folio_lock(folio);
			folio_mark_dirty(folio);
			folio_unlock(folio);
		}
		cond_resched();
	}
}

/* udmabuf makes its table at the first access, and has no lock for that. */
static DEFINE_MUTEX(df_udmabuf_lock);

/**
 * df_begin_access - dma_buf_begin_cpu_access(), also by several at once
 * @dmabuf: the buffer
 * @direction: as there
 *
 * Return: as there; -EINTR.
 */
int df_begin_access(struct dma_buf *dmabuf, enum dma_data_direction direction)
{
	int error;

	if (strcmp(dmabuf->exp_name, "udmabuf"))
		return dma_buf_begin_cpu_access(dmabuf, direction);
	/* Devices are waited for here, so that nobody has to with the lock held. */
	if (dma_resv_wait_timeout(dmabuf->resv, dma_resv_usage_rw(direction != DMA_FROM_DEVICE),
				  true, MAX_SCHEDULE_TIMEOUT) < 0)
		return -ERESTARTSYS;
	if (mutex_lock_killable(&df_udmabuf_lock))
		return -EINTR;
	error = dma_buf_begin_cpu_access(dmabuf, direction);
	mutex_unlock(&df_udmabuf_lock);
	return error;
}
