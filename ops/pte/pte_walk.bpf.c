// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Looks up page-table entries of processes from inside the kernel, for thousands of addresses in
 * one system call. Run by BPF_PROG_RUN (page_walker.cc), in the calling thread. It takes no lock
 * and writes nothing but its own map: all reads are bpf_probe_read_kernel(), which survives any
 * address, so a page table that is freed under the walk costs a wrong answer and nothing worse.
 *
 * An address space is named by a descriptor of the calling thread whose struct file holds the
 * mm_struct in private_data and keeps it (and with it the top page table) allocated, as
 * /proc/PID/environ and /proc/PID/mem do. Pids are not looked at, so none can be taken for another.
 *
 * The few kernel types that are needed are declared and relocated when loaded (CO-RE), so that
 * neither the build nor the binary depends on one kernel.
 */
#include "ops/pte/pte_walk.h"

#include "ops/pte/kernel_memory.bpf.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

const volatile struct pte_geometry geometry;
struct pte_shared shared;

#include "ops/pte/table_walk.h"

/* What links a tail page to the first one of its folio. Kernels have one of the two. */
struct page {
  unsigned long compound_head; /* before 7.1 */
  unsigned long compound_info; /* since 7.1 */
} RELOCATED;

struct folio {
  unsigned long index;
  void* mapping; /* bit 0: anonymous memory */
  struct counter _mapcount;
  struct counter _large_mapcount;  /* since 6.10: mappings of all pages */
  struct counter _entire_mapcount; /* 6.2 and newer: mappings as one */
  struct counter _total_mapcount;  /* before 6.2: the same */
  unsigned long _flags_1;
} RELOCATED;

enum pageflags { PG_lru, PG_head, PG_mlocked };

/* A link of a tail page that is a mask has ones in all the upper half: the descriptors of a folio
 * are less than 4 GiB. No address of a descriptor has: the kernel's text and modules lie there. */
#define MASKS_FROM (~0ull << 32)

/* One run's walk: the address space it is in, and the way to the last address. */
struct walk {
  __s32 fd;
  __u32 want_ageing;
  struct table_walk tables;
};

/* Not on the stack, where the verifier of newer kernels (7.3) would follow all values that its
 * fields can take: fifty times as many instructions. Used: or the compiler makes a variable of each
 * field, with a name that BTF does not take. */
static struct walk walk __attribute__((used));

static __always_inline void enter(__s32 fd) {
  walk.fd = fd;
  begin_walk(&walk.tables, top_table_of(fd));
}

static __always_inline __u64 physical(__u64 entry) {
  return pte_physical(&geometry, &shared.layout, entry);
}

/* Descriptor of the first page of the folio that `page` is of; 0 if that is not understood. A link
 * with bit 0 set makes it a tail page. The rest of the link is the first descriptor's address, or,
 * where compound_info has masks, what is to be left of the tail page's own address. The kernel has
 * masks if it can save memory for descriptors of hugetlb pages and the size of a descriptor is a
 * power of two; each link tells by itself which kind it is. */
static __always_inline __u64 head_of(__u64 page, __u64 size) {
  const struct page* descriptor = (const struct page*)page;
  __u64 link;

  if (bpf_core_field_exists(descriptor->compound_info))
    link = BPF_CORE_READ(descriptor, compound_info);
  else if (bpf_core_field_exists(descriptor->compound_head))
    link = BPF_CORE_READ(descriptor, compound_head);
  else
    return 0;
  if (!(link & 1)) return page;
  link -= 1;
  if (link < MASKS_FROM) return link >= shared.layout.vmemmap && link < page ? link : 0;
  return size & (size - 1) ? 0 : page & link;
}

/* How often a page, or a folio mapped as one, is mapped. The kernel's counters start at -1. */
static __always_inline int mappings(const struct folio* folio, bool large) {
  int count = BPF_CORE_READ(folio, _mapcount.counter) + 1;

  if (!large) return count;
  if (bpf_core_field_exists(folio->_large_mapcount))
    return BPF_CORE_READ(folio, _large_mapcount.counter) + 1;
  if (bpf_core_field_exists(folio->_entire_mapcount))
    return count + BPF_CORE_READ(folio, _entire_mapcount.counter) + 1;
  if (bpf_core_field_exists(folio->_total_mapcount))
    return count + BPF_CORE_READ(folio, _total_mapcount.counter) + 1;
  return 0;
}

/* The first entry of an extent, and whether the others follow it page by page. */
struct extent {
  __u64 first;
  bool whole;
};

static long compare_entry(__u32 i, struct extent* extent) {
  __u64 expected = extent->first + ((__u64)i << geometry.shift[0]);

  if (i >= PTE_MAX_ENTRIES) return 1;
  extent->whole = !((shared.scratch[i] ^ expected) & ~geometry.varying);
  return !extent->whole;
}

/* What ages a page of a large folio that is mapped page by page. MADV_COLD spares a folio only if
 * it is told to age all of it at once, and that since 6.10 (which brought _large_mapcount); else it
 * splits it. So all its pages must be mapped here, side by side, and nowhere else. */
static __always_inline __u8 age_by_extent(struct pte_slot* slot, __u64 table, __u64 entry,
                                          const struct folio* folio, __u32 index) {
  struct extent extent = {.whole = false};
  __u32 order, pages, first;

  if (!bpf_core_field_exists(folio->_large_mapcount) || !bpf_core_field_exists(folio->_flags_1) ||
      !(entry & geometry.present))
    return PTE_AGE_WHOLE;
  order = BPF_CORE_READ(folio, _flags_1) & 0xff;
  if (order > geometry.shift[1] - geometry.shift[0]) return PTE_AGE_WHOLE;
  pages = 1u << order;
  first = (__u32)pte_index(&geometry, slot->addr, 0);
  if (index > first || first - index + pages > geometry.entries) return PTE_AGE_WHOLE;
  first -= index;
  if (mappings(folio, true) != (int)pages) return PTE_AGE_WHOLE;

  barrier_var(pages); /* or the compiler drops a check that the verifier needs */
  if (pages > PTE_MAX_ENTRIES ||
      bpf_probe_read_kernel(shared.scratch, pages * sizeof(__u64),
                            (const void*)(table + first * sizeof(__u64))))
    return PTE_AGE_WHOLE;
  extent.first = entry - ((__u64)index << geometry.shift[0]);
  bpf_loop(pages, compare_entry, &extent, 0);
  if (!extent.whole) return PTE_AGE_WHOLE;
  slot->before = (__u16)index;
  slot->pages = (__u16)pages;
  return PTE_AGE_COLD;
}

/* What clears the accessed bit of `entry`, told by the descriptor of its page. */
static __always_inline __u8 ageing_of(struct pte_slot* slot, __u64 table, __u64 entry, __u8 shift) {
  const __u64 lru = 1ull << bpf_core_enum_value(enum pageflags, PG_lru);
  const __u64 head_page = 1ull << bpf_core_enum_value(enum pageflags, PG_head);
  const __u64 mlocked = 1ull << bpf_core_enum_value(enum pageflags, PG_mlocked);
  const __u64 size = bpf_core_type_size(struct page);
  __u64 phys = physical(entry);
  __u64 page, head, flags;
  bool lowest = shift == geometry.shift[0];
  bool large;

  if (shift > geometry.shift[1] || (lowest && entry & geometry.special)) return PTE_AGE_NEVER;
  if (!shared.layout.vmemmap || phys >= shared.layout.phys_end) return PTE_AGE_NEVER;

  page = shared.layout.vmemmap + (phys >> geometry.shift[0]) * size;
  head = head_of(page, size);
  if (!head) return PTE_AGE_NEVER;
  flags = read_word(head); /* the first word, as the kernel itself asserts */
  large = head != page || flags & head_page;

  if (!((__u64)BPF_CORE_READ((const struct folio*)head, mapping) & 1)) slot->flags |= PTE_FILE;

  if (!(flags & lru)) return lowest && !large ? PTE_AGE_MAYBE : PTE_AGE_NEVER;
  if (flags & mlocked) return PTE_AGE_WHOLE;
  if (large && lowest)
    return age_by_extent(slot, table, entry, (const struct folio*)head,
                         (__u32)((page - head) / size));
  return mappings((const struct folio*)head, large) == 1 ? PTE_AGE_COLD : PTE_AGE_WHOLE;
}

static long gather_entry(__u32 i, __u64* gathered) {
  if (i >= PTE_MAX_ENTRIES) return 1;
  *gathered |= shared.scratch[i];
  return 0;
}

/* Whether the accessed bit of `entry`, or of another one of its group, is set. */
static __always_inline bool is_young(__u64 entry, __u64 table, __u64 addr, bool lowest) {
  __u64 first = pte_index(&geometry, addr, 0) & ~((__u64)geometry.group_size - 1);
  __u64 gathered = 0;

  if (entry & geometry.accessed) return true;
  if (!lowest || !(entry & geometry.group) || geometry.group_size > PTE_MAX_ENTRIES) return false;
  if (bpf_probe_read_kernel(shared.scratch, geometry.group_size * sizeof(__u64),
                            (const void*)(table + first * sizeof(__u64))))
    return false;
  bpf_loop(geometry.group_size, gather_entry, &gathered, 0);
  return gathered & geometry.accessed;
}

static long walk_slot(__u32 i, void* unused) {
  struct pte_slot* slot;
  __u64 entry;
  bool lowest;
  __u8 shift;

  if (i >= PTE_MAX_SLOTS) return 1;
  slot = &shared.slots[i];
  slot->flags = 0;
  if (slot->fd != walk.fd) enter(slot->fd);
  if (!walk.tables.top) {
    slot->flags = PTE_DEAD;
    return 0;
  }
  if (!maps_user(slot->addr)) return 0;

  entry = leaf_of(&walk.tables, slot->addr, &shift);
  lowest = shift == geometry.shift[0];
  if (!(entry & shared.layout.mapped) && (lowest || !is_huge(entry))) return 0;
  slot->flags = PTE_MAPPED;
  slot->leaf_shift = shift;
  /* Below what a huge leaf covers its entry has other bits. */
  slot->frame = (physical(entry) & ~((1ull << shift) - 1)) >> geometry.shift[0];
  if (!is_young(entry, walk.tables.table[0], slot->addr, lowest)) return 0;
  slot->flags = PTE_MAPPED | PTE_YOUNG;
  if (!walk.want_ageing) return 0;
  slot->before = 0;
  slot->pages = 0;
  slot->ageing = ageing_of(slot, walk.tables.table[0], entry, shift);
  return 0;
}

/* Looks at slots[0 .. nr_slots). */
SEC("syscall")
int walk_pages(struct pte_args* args) {
  walk.fd = -1;
  walk.tables.top = 0;
  walk.want_ageing = args->want_ageing;
  bpf_loop(args->nr_slots, walk_slot, 0, 0);
  return 0;
}

/* How the lock of the memory map behind `fd` stands: MAP_LOCK_*. */
static __always_inline int map_lock_of(__s32 fd) {
  const struct mm_struct* mm = (const struct mm_struct*)mm_of(fd);

  if (!mm) return MAP_LOCK_FREE;
  if (bpf_core_field_exists(mm->mmap_lock.count)) {
    /* Bit 0: held for writing; 1: somebody waits; 2: promised to one who waits; 63: too many hold
     * it. The rest is how many hold it for reading. */
    long count = BPF_CORE_READ(mm, mmap_lock.count.counter);

    if (count < 0 || count & 7) return MAP_LOCK_BUSY;
    return count ? MAP_LOCK_READ : MAP_LOCK_FREE;
  }
  if (bpf_core_field_exists(mm->mmap_lock.rwbase)) {
    /* Bit 31: readers may come; the rest is how many there are. */
    int readers = BPF_CORE_READ(mm, mmap_lock.rwbase.readers.counter);

    if (readers >= 0) return MAP_LOCK_BUSY;
    return readers & 0x7fffffff ? MAP_LOCK_READ : MAP_LOCK_FREE;
  }
  return MAP_LOCK_FREE;
}

SEC("syscall")
int peek_map_lock(struct pte_peek* args) { return map_lock_of(args->fd); }

/* Physical address of the small page that an entry maps; NO_PHYS if it maps none. */
#define NO_PHYS (~0ull)
static __always_inline __u64 phys_of(__u64 entry, __u8 shift) {
  __u64 phys = physical(entry);

  if (!(entry & geometry.present) || shift != geometry.shift[0]) return NO_PHYS;
  return phys < shared.layout.phys_end ? phys : NO_PHYS;
}

/* The entry of the page at slots[i].addr. */
static __always_inline __u64 entry_at(int i, __u8* shift) {
  __u64 addr = shared.slots[i].addr;

  *shift = 0;
  return walk.tables.top && maps_user(addr) ? leaf_of(&walk.tables, addr, shift) : 0;
}

static __always_inline __u64 descriptor_of(__u64 phys) {
  return shared.layout.vmemmap + (phys >> geometry.shift[0]) * bpf_core_type_size(struct page);
}

/* Looks at a tail page: the one that the second page of this thread's task_struct is in. A
 * task_struct is larger than a page, and what it lies in is a folio. */
static __always_inline void probe_tail(const struct task_struct* task) {
  const __u64 head_page = 1ull << bpf_core_enum_value(enum pageflags, PG_head);
  const __u64 size = bpf_core_type_size(struct page);
  const __u64 page_size = 1ull << geometry.shift[0];
  __u64 second = (__u64)task + page_size;
  __u64 tail, head;

  if (bpf_core_type_size(struct task_struct) <= page_size) return;
  second -= shared.layout.page_offset;
  if (second >= shared.layout.phys_end) return;
  tail = descriptor_of(second);
  head = head_of(tail, size);
  shared.probe.tail = tail;
  shared.probe.head = head;
  shared.probe.head_is_head =
      head && head != tail && head_of(head, size) == head && read_word(head) & head_page;
}

/* Fills shared.probe for the pages at slots[0] to slots[2], with the layout there is so far. */
SEC("syscall")
int probe_page(void* args) {
  struct task_struct* task = (struct task_struct*)bpf_get_current_task();
  __u64 entry, phys;
  __u8 shift;

  __builtin_memset(&shared.probe, 0, sizeof(shared.probe));
  if (bpf_core_field_exists(task->stack_vm_area))
    shared.probe.some_page = read_word((__u64)BPF_CORE_READ(task, stack_vm_area, pages));
  enter(shared.slots[0].fd);
  shared.probe.pgd = walk.tables.top;

  entry = entry_at(0, &shift);
  phys = phys_of(entry, shift);
  if (phys == NO_PHYS) return 0;
  shared.probe.content = read_word(shared.layout.page_offset + phys);
  if (!shared.layout.vmemmap) return 0;
  shared.probe.folio_index = BPF_CORE_READ((const struct folio*)descriptor_of(phys), index);
  shared.probe.mappings = mappings((const struct folio*)descriptor_of(phys), false);

  entry = entry_at(1, &shift);
  phys = phys_of(entry, shift);
  if (phys == NO_PHYS) return 0;
  shared.probe.twin_mappings = mappings((const struct folio*)descriptor_of(phys), false);
  shared.probe.no_access = entry_at(2, &shift);
  probe_tail(task);
  return 0;
}
