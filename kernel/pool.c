// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Large pages that a user's buffers left, for the same user's next LOAD, or writes
 * beyond a dma-buf.  They keep what was in them: only those take them, who let nobody
 * see it; and only in the cgroup that pays for them, or others would use its memory.
 * Given back when memory is short, and when they were not wanted for a while.
 */
#include <linux/list.h>
#include <linux/memcontrol.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/page_counter.h>
#include <linux/shrinker.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

#include "heap.h"

#define DF_POOL_IDLE (30 * HZ)

struct df_pool_user {
	struct list_head entry;
	struct list_head pages;		/* the latest first */
	unsigned long count;
	kuid_t user;
	const void *payer;		/* a cgroup, or NULL for the root; only compared */
	unsigned long used;		/* jiffies */
};

static unsigned long pool_mb = ULONG_MAX;
module_param(pool_mb, ulong, 0644);
MODULE_PARM_DESC(pool_mb, "MiB kept for reuse, for all users together (default: an eighth of the memory)");

static DEFINE_SPINLOCK(df_pool_lock);
static LIST_HEAD(df_pool_users);
static unsigned long df_pool_count;	/* of pages */
static struct shrinker *df_shrinker;
static void df_pool_idle(struct work_struct *work);
static DECLARE_DELAYED_WORK(df_pool_work, df_pool_idle);

static unsigned long df_pool_most(void)
{
	unsigned long mb = READ_ONCE(pool_mb);

	if (mb == ULONG_MAX)
		return totalram_pages() / 8 >> DF_SLOT_ORDER;
	return mb / (DF_SLOT_BYTES / SZ_1M);
}

static struct df_pool_user *df_pool_find(kuid_t user, const void *payer)
{
	struct df_pool_user *found;

	list_for_each_entry(found, &df_pool_users, entry)
		if (uid_eq(found->user, user) && found->payer == payer)
			return found;
	return NULL;
}

/* Who would pay for a page that was allocated now. */
static const void *df_payer_now(void)
{
	const void *payer = NULL;
#ifdef CONFIG_MEMCG
	struct mem_cgroup *memcg;

	if (!memcg_kmem_online())
		return NULL;
	rcu_read_lock();
	memcg = mem_cgroup_from_task(current);
	if (memcg && memcg->css.parent)
		payer = memcg;
	rcu_read_unlock();
#endif
	return payer;
}

/*
 * Who pays for the page.  False: a cgroup with a limit: its own reclaim would not find
 * the page here, so the pool would push that cgroup's processes into the limit.
 */
static bool df_payer_of(struct page *page, const void **payer)
{
	bool limited = false;

	*payer = NULL;
#ifdef CONFIG_MEMCG
	struct page_counter *counter;
	struct mem_cgroup *memcg;

	rcu_read_lock();
	memcg = folio_memcg(page_folio(page));
	if (memcg && memcg->css.parent)
		*payer = memcg;
	for (counter = memcg ? &memcg->memory : NULL; counter; counter = counter->parent)
		limited |= READ_ONCE(counter->max) != PAGE_COUNTER_MAX ||
			   READ_ONCE(counter->high) != PAGE_COUNTER_MAX;
	rcu_read_unlock();
#endif
	return !limited;
}

/**
 * df_pool_give - keep a page for its user's next buffer
 * @page: of DF_SLOT_ORDER, with no other reference
 * @owner: its user
 *
 * Return: false: the caller keeps it.
 */
bool df_pool_give(struct page *page, kuid_t owner)
{
	struct df_pool_user *user, *made = NULL;
	const void *payer;
	bool given = false;

	if (READ_ONCE(df_pool_count) >= df_pool_most() || page_count(page) != 1 ||
	    !df_payer_of(page, &payer))
		return false;
	spin_lock(&df_pool_lock);
	user = df_pool_find(owner, payer);
	if (!user) {
		spin_unlock(&df_pool_lock);
		made = kzalloc(sizeof(*made), GFP_KERNEL);
		if (!made)
			return false;
		INIT_LIST_HEAD(&made->pages);
		made->user = owner;
		made->payer = payer;
		spin_lock(&df_pool_lock);
		user = df_pool_find(owner, payer);
		if (!user) {
			user = made;
			list_add(&user->entry, &df_pool_users);
			made = NULL;
		}
	}
	if (df_pool_count < df_pool_most()) {
		list_add(&page->lru, &user->pages);
		user->count++;
		user->used = jiffies;
		df_pool_count++;
		given = true;
	}
	spin_unlock(&df_pool_lock);
	kfree(made);
	if (given)
		queue_delayed_work(df_workers, &df_pool_work, DF_POOL_IDLE);
	return given;
}

/* Return: a page that still holds what it held, or NULL. */
struct page *df_pool_take(kuid_t owner)
{
	const void *payer = df_payer_now(), *pays;
	struct df_pool_user *user;
	struct page *page = NULL;

	spin_lock(&df_pool_lock);
	user = df_pool_find(owner, payer);
	if (user && user->count) {
		page = list_first_entry(&user->pages, struct page, lru);
		list_del(&page->lru);
		user->count--;
		user->used = jiffies;
		df_pool_count--;
	}
	spin_unlock(&df_pool_lock);
	if (page)
		df_payer_of(page, &pays);
	/* Another cgroup may have come to where that one was. */
	if (page && pays != payer) {
		__free_pages(page, DF_SLOT_ORDER);
		page = NULL;
	}
	return page;
}

/*
 * Frees up to @most pages, those that have waited longest of each user who has not
 * used his since @since (jiffies).
 */
static unsigned long df_pool_free(unsigned long most, unsigned long since)
{
	struct df_pool_user *user, *next;
	struct page *page, *other;
	LIST_HEAD(pages);
	LIST_HEAD(empty);
	unsigned long freed = 0;

	spin_lock(&df_pool_lock);
	list_for_each_entry_safe(user, next, &df_pool_users, entry) {
		if (time_after(user->used, since))
			continue;
		while (user->count && freed < most) {
			list_move(user->pages.prev, &pages);
			user->count--;
			freed++;
		}
		if (!user->count)
			list_move(&user->entry, &empty);
	}
	df_pool_count -= freed;
	spin_unlock(&df_pool_lock);
	list_for_each_entry_safe(page, other, &pages, lru) {
		list_del(&page->lru);
		__free_pages(page, DF_SLOT_ORDER);
		cond_resched();
	}
	list_for_each_entry_safe(user, next, &empty, entry)
		kfree(user);
	return freed;
}

static void df_pool_idle(struct work_struct *work)
{
	df_pool_free(ULONG_MAX, jiffies - DF_POOL_IDLE);
	if (READ_ONCE(df_pool_count))
		queue_delayed_work(df_workers, &df_pool_work, DF_POOL_IDLE / 8);
}

static unsigned long df_pool_count_objects(struct shrinker *shrinker,
					   struct shrink_control *control)
{
	unsigned long pages = READ_ONCE(df_pool_count) << DF_SLOT_ORDER;

	return pages ?: SHRINK_EMPTY;
}

static unsigned long df_pool_scan_objects(struct shrinker *shrinker, struct shrink_control *control)
{
	unsigned long freed = df_pool_free(DIV_ROUND_UP(control->nr_to_scan, 1UL << DF_SLOT_ORDER),
					   jiffies);

	return freed ? freed << DF_SLOT_ORDER : SHRINK_STOP;
}

/**
 * df_pool_sizes - what the pool holds
 * @held: out: bytes for the calling user, in his cgroup
 * @limit: out: bytes for all users together
 */
void df_pool_sizes(u64 *held, u64 *limit)
{
	const void *payer = df_payer_now();
	struct df_pool_user *user;

	spin_lock(&df_pool_lock);
	user = df_pool_find(current_euid(), payer);
	*held = user ? (u64)user->count * DF_SLOT_BYTES : 0;
	spin_unlock(&df_pool_lock);
	*limit = (u64)df_pool_most() * DF_SLOT_BYTES;
}

int df_pool_init(void)
{
	df_shrinker = shrinker_alloc(0, "dmabuf_file");
	if (!df_shrinker)
		return -ENOMEM;
	df_shrinker->count_objects = df_pool_count_objects;
	df_shrinker->scan_objects = df_pool_scan_objects;
	shrinker_register(df_shrinker);
	return 0;
}

void df_pool_exit(void)
{
	shrinker_free(df_shrinker);
	cancel_delayed_work_sync(&df_pool_work);
	df_pool_free(ULONG_MAX, jiffies);
}
