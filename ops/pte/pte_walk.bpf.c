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
 * The few kernel types that are needed are declared here and relocated when loaded (CO-RE), so that
 * neither the build nor the binary depends on one kernel.
 */
#include "pte_walk.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <linux/bpf.h>
#include <stdbool.h>

char LICENSE[] SEC("license") = "Dual MIT/GPL";

#define RELOCATED __attribute__((preserve_access_index))

struct counter {
  int counter;
} RELOCATED;

/* What links a tail page to the first one of its folio. Kernels have one of the two. */
struct page {
  unsigned long compound_head; /* before 7.1 */
  unsigned long compound_info; /* since 7.1 */
} RELOCATED;

struct folio {
  unsigned long index;
  struct counter _mapcount;
  struct counter _large_mapcount;  /* since 6.10: mappings of all pages */
  struct counter _entire_mapcount; /* 6.2 and newer: mappings as one */
  struct counter _total_mapcount;  /* before 6.2: the same */
  unsigned long _flags_1;
} RELOCATED;

enum pageflags { PG_lru, PG_head, PG_mlocked };

struct mm_struct {
  struct counter mm_users;
  void* pgd;
} RELOCATED;

struct file {
  void* private_data;
} RELOCATED;

struct fdtable {
  unsigned int max_fds;
  struct file** fd;
} RELOCATED;

struct files_struct {
  struct fdtable* fdt;
} RELOCATED;

struct vm_struct {
  struct page** pages;
} RELOCATED;

struct task_struct {
  struct files_struct* files;
  struct vm_struct* stack_vm_area;
} RELOCATED;

/* Bits of an entry, by the processor's manual; 8 and 9 as Linux uses them. */
#define PRESENT (1ull << 0)
#define ACCESSED (1ull << 5)
#define DIRTY (1ull << 6)
#define HUGE_LEAF (1ull << 7) /* in tables above the lowest */
#define PROT_NONE (1ull << 8) /* mapped, but not for the processor: only if PRESENT is clear */
#define SPECIAL (1ull << 9)   /* no page descriptor to be touched */
#define SOFT_DIRTY (1ull << 11)
#define SAVED_DIRTY (1ull << 58)
/* What entries of one batch may differ in for the kernel (folio_pte_batch()), but for the right to
 * write: where that changes, mostly another mapping begins, which the advice would stop at. */
#define VARYING (ACCESSED | DIRTY | SOFT_DIRTY | SAVED_DIRTY)

#define NO_KEY (~0ull)

/* A link of a tail page that is a mask has ones in all the upper half: the descriptors of a folio
 * are less than 4 GiB. No address of a descriptor has: the kernel's text and modules lie there. */
#define MASKS_FROM (~0ull << 32)

struct pte_shared shared;

/* One run's walk: the address space it is in and the tables the last address led through. A table
 * is valid for addresses that agree with its key in all bits above what it covers. */
struct walk {
  __s32 fd;
  __u32 want_ageing;
  __u64 pgd; /* 0: the address space has gone */
  __u64 p4d_key, p4d;
  __u64 pud_key, pud;
  __u64 pmd_key, pmd;
  __u64 pte_key, pte;
};

/* Not on the stack, where the verifier of newer kernels (7.3) would follow all values that its
 * fields can take: fifty times as many instructions. Used: or the compiler makes a variable of each
 * field, with a name that BTF does not take. */
static struct walk walk __attribute__((used));

static __always_inline __u64 read_word(__u64 address) {
  __u64 word = 0;

  if (bpf_probe_read_kernel(&word, sizeof(word), (const void*)address)) return 0;
  return word;
}

static __always_inline __u64 entry_of(__u64 table, __u64 addr, int shift) {
  return read_word(table + ((addr >> shift) & (PTE_TABLE_ENTRIES - 1)) * sizeof(__u64));
}

/* Physical address in an entry; Linux inverts it in entries the processor must not follow. */
static __always_inline __u64 physical(__u64 entry) {
  return (entry & PRESENT ? entry : ~entry) & shared.layout.phys_mask;
}

/* Kernel address of the table that an entry leads to; 0 if it leads to none. */
static __always_inline __u64 table_at(__u64 entry) {
  __u64 phys = entry & shared.layout.phys_mask;

  if (!(entry & PRESENT) || phys >= shared.layout.phys_end) return 0;
  return shared.layout.page_offset + phys;
}

/* The mm_struct behind descriptor `fd` of the running thread; 0 if there is none. The table of
 * descriptors may be replaced by a larger one meanwhile and freed: then it is looked up again. */
static __always_inline __u64 mm_of(__s32 fd) {
  struct task_struct* task = (struct task_struct*)bpf_get_current_task();
  struct files_struct* files = BPF_CORE_READ(task, files);

  for (int tries = 0; tries < 4; tries++) {
    struct fdtable* fdt = BPF_CORE_READ(files, fdt);
    struct file** fds = BPF_CORE_READ(fdt, fd);
    struct file* file = 0;
    __u64 mm;

    if (fd < 0 || (__u32)fd >= BPF_CORE_READ(fdt, max_fds)) return 0;
    bpf_probe_read_kernel(&file, sizeof(file), &fds[fd]);
    mm = file ? (__u64)BPF_CORE_READ(file, private_data) : 0;
    if (BPF_CORE_READ(files, fdt) == fdt) return mm;
  }
  return 0;
}

static __always_inline void enter(__s32 fd) {
  const struct mm_struct* mm = (const struct mm_struct*)mm_of(fd);

  walk.fd = fd;
  walk.pgd = 0;
  walk.p4d_key = walk.pud_key = walk.pmd_key = walk.pte_key = NO_KEY;
  /* Without users its page table is being or has been taken down. */
  if (mm && BPF_CORE_READ(mm, mm_users.counter) > 0) walk.pgd = (__u64)BPF_CORE_READ(mm, pgd);
}

/* Table of PUD entries for `addr`; 0 if there is none. */
static __always_inline __u64 pud_table(__u64 addr) {
  __u64 p4d = walk.pgd;

  if (walk.pud_key == addr >> 39) return walk.pud;
  if (shared.layout.levels == 5) {
    if (walk.p4d_key != addr >> 48) {
      walk.p4d = table_at(entry_of(walk.pgd, addr, 48));
      walk.p4d_key = addr >> 48;
    }
    p4d = walk.p4d;
  }
  walk.pud = p4d ? table_at(entry_of(p4d, addr, 39)) : 0;
  walk.pud_key = addr >> 39;
  return walk.pud;
}

/* Finds the entry that maps `addr` or stands where it would; `shift` becomes the log2 of what it
 * covers. Only entries of the lowest table and huge leaves are given back; 0 otherwise. */
static __always_inline __u64 leaf_of(__u64 addr, __u8* shift) {
  __u64 table;
  __u64 entry;

  *shift = PTE_PAGE_SHIFT;
  if (walk.pte_key == addr >> 21) return entry_of(walk.pte, addr, 12);

  if (walk.pmd_key != addr >> 30) {
    table = pud_table(addr);
    if (!table) return 0;
    entry = entry_of(table, addr, 30);
    *shift = 30;
    if (entry & HUGE_LEAF) return entry;
    table = table_at(entry);
    if (!table) return 0;
    walk.pmd = table;
    walk.pmd_key = addr >> 30;
  }

  entry = entry_of(walk.pmd, addr, 21);
  *shift = PTE_PMD_SHIFT;
  if (entry & HUGE_LEAF) return entry;
  table = table_at(entry);
  if (!table) return 0;
  walk.pte = table;
  walk.pte_key = addr >> 21;
  *shift = PTE_PAGE_SHIFT;
  return entry_of(table, addr, 12);
}

static __always_inline bool maps_user(__u64 addr) {
  return addr >> (shared.layout.levels == 5 ? 56 : 47) == 0;
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
  __u64 expected = extent->first + ((__u64)i << PTE_PAGE_SHIFT);

  if (i >= PTE_TABLE_ENTRIES) return 1;
  extent->whole = !((shared.scratch[i] ^ expected) & ~VARYING);
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
      !(entry & PRESENT))
    return PTE_AGE_WHOLE;
  order = BPF_CORE_READ(folio, _flags_1) & 0xff;
  if (order > PTE_PMD_SHIFT - PTE_PAGE_SHIFT) return PTE_AGE_WHOLE;
  pages = 1u << order;
  first = (slot->addr >> PTE_PAGE_SHIFT) & (PTE_TABLE_ENTRIES - 1);
  if (index > first || first - index + pages > PTE_TABLE_ENTRIES) return PTE_AGE_WHOLE;
  first -= index;
  if (mappings(folio, true) != (int)pages) return PTE_AGE_WHOLE;

  barrier_var(pages); /* or the compiler drops a check that the verifier needs */
  if (pages > PTE_TABLE_ENTRIES ||
      bpf_probe_read_kernel(shared.scratch, pages * sizeof(__u64),
                            (const void*)(table + first * sizeof(__u64))))
    return PTE_AGE_WHOLE;
  extent.first = entry - ((__u64)index << PTE_PAGE_SHIFT);
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
  bool large;

  if (shift > PTE_PMD_SHIFT || (shift == PTE_PAGE_SHIFT && entry & SPECIAL)) return PTE_AGE_NEVER;
  if (!shared.layout.vmemmap || phys >= shared.layout.phys_end) return PTE_AGE_NEVER;

  page = shared.layout.vmemmap + (phys >> PTE_PAGE_SHIFT) * size;
  head = head_of(page, size);
  if (!head) return PTE_AGE_NEVER;
  flags = read_word(head); /* the first word, as the kernel itself asserts */
  large = head != page || flags & head_page;

  if (!(flags & lru)) return shift == PTE_PAGE_SHIFT && !large ? PTE_AGE_MAYBE : PTE_AGE_NEVER;
  if (flags & mlocked) return PTE_AGE_WHOLE;
  if (large && shift == PTE_PAGE_SHIFT)
    return age_by_extent(slot, table, entry, (const struct folio*)head,
                         (__u32)((page - head) / size));
  return mappings((const struct folio*)head, large) == 1 ? PTE_AGE_COLD : PTE_AGE_WHOLE;
}

static long walk_slot(__u32 i, void* unused) {
  struct pte_slot* slot;
  __u64 entry;
  __u8 shift;

  if (i >= PTE_MAX_SLOTS) return 1;
  slot = &shared.slots[i];
  slot->flags = 0;
  if (slot->fd != walk.fd) enter(slot->fd);
  if (!walk.pgd) {
    slot->flags = PTE_DEAD;
    return 0;
  }
  if (!maps_user(slot->addr)) return 0;

  entry = leaf_of(slot->addr, &shift);
  if (!(entry & (PRESENT | PROT_NONE)) && (shift == PTE_PAGE_SHIFT || !(entry & HUGE_LEAF)))
    return 0;
  slot->flags = PTE_MAPPED;
  slot->leaf_shift = shift;
  /* Below what a huge leaf covers its entry has other bits. */
  slot->frame = (physical(entry) & ~((1ull << shift) - 1)) >> PTE_PAGE_SHIFT;
  if (!(entry & ACCESSED)) return 0;
  slot->flags = PTE_MAPPED | PTE_YOUNG;
  if (!walk.want_ageing) return 0;
  slot->before = 0;
  slot->pages = 0;
  slot->ageing = ageing_of(slot, walk.pte, entry, shift);
  return 0;
}

/* Looks at slots[0 .. nr_slots). */
SEC("syscall")
int walk_pages(struct pte_args* args) {
  walk.fd = -1;
  walk.pgd = 0;
  walk.want_ageing = args->want_ageing;
  bpf_loop(args->nr_slots, walk_slot, 0, 0);
  return 0;
}

/* Physical address of the small page that `addr` of the walk's address space is in; NO_PHYS if
 * there is none. */
#define NO_PHYS (~0ull)
static __always_inline __u64 phys_of(__u64 addr) {
  __u64 entry, phys;
  __u8 shift;

  if (!walk.pgd || !maps_user(addr)) return NO_PHYS;
  entry = leaf_of(addr, &shift);
  if (!(entry & PRESENT) || shift != PTE_PAGE_SHIFT) return NO_PHYS;
  phys = physical(entry);
  return phys < shared.layout.phys_end ? phys : NO_PHYS;
}

static __always_inline __u64 descriptor_of(__u64 phys) {
  return shared.layout.vmemmap + (phys >> PTE_PAGE_SHIFT) * bpf_core_type_size(struct page);
}

/* Looks at a tail page: the one that the second page of this thread's task_struct is in. A
 * task_struct is larger than a page, and what it lies in is a folio. */
static __always_inline void probe_tail(const struct task_struct* task) {
  const __u64 head_page = 1ull << bpf_core_enum_value(enum pageflags, PG_head);
  const __u64 size = bpf_core_type_size(struct page);
  __u64 second = (__u64)task + (1ull << PTE_PAGE_SHIFT);
  __u64 tail, head;

  if (bpf_core_type_size(struct task_struct) <= 1ull << PTE_PAGE_SHIFT) return;
  second -= shared.layout.page_offset;
  if (second >= shared.layout.phys_end) return;
  tail = descriptor_of(second);
  head = head_of(tail, size);
  shared.probe.tail = tail;
  shared.probe.head = head;
  shared.probe.head_is_head =
      head && head != tail && head_of(head, size) == head && read_word(head) & head_page;
}

/* Fills shared.probe for the pages at slots[0] and slots[1], with the layout there is so far. */
SEC("syscall")
int probe_page(void* args) {
  struct task_struct* task = (struct task_struct*)bpf_get_current_task();
  __u64 phys;

  __builtin_memset(&shared.probe, 0, sizeof(shared.probe));
  if (bpf_core_field_exists(task->stack_vm_area))
    shared.probe.some_page = read_word((__u64)BPF_CORE_READ(task, stack_vm_area, pages));
  enter(shared.slots[0].fd);
  shared.probe.pgd = walk.pgd;

  phys = phys_of(shared.slots[0].addr);
  if (phys == NO_PHYS) return 0;
  shared.probe.content =
      read_word(shared.layout.page_offset + phys + (shared.slots[0].addr & 4095));
  if (!shared.layout.vmemmap) return 0;
  shared.probe.folio_index = BPF_CORE_READ((const struct folio*)descriptor_of(phys), index);
  shared.probe.mappings = mappings((const struct folio*)descriptor_of(phys), false);

  phys = phys_of(shared.slots[1].addr);
  if (phys == NO_PHYS) return 0;
  shared.probe.twin_mappings = mappings((const struct folio*)descriptor_of(phys), false);
  probe_tail(task);
  return 0;
}
