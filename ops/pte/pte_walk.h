/* SPDX-License-Identifier: MIT
 *
 * What the page-table walk in the kernel (pte_walk.bpf.c) and its user (page_walker.cc) share: one
 * block of memory, mapped by both. Plain C, for it is compiled for BPF too.
 */
#pragma once

#include "ops/pte/page_table.h"

#define PTE_MAX_SLOTS 4096 /* addresses a run looks at */

/* What a run of `peek_map_lock` returns: how the lock of a memory map stands. */
#define MAP_LOCK_FREE 0
#define MAP_LOCK_READ 1 /* held for reading: who wants it for writing has to wait */
#define MAP_LOCK_BUSY 2 /* held for writing, or waited for: readers have to wait, too */

/* pte_slot.flags */
#define PTE_DEAD 1   /* the address space has gone, or the descriptor holds none */
#define PTE_MAPPED 2 /* an entry maps a page here: leaf_shift says how large */
#define PTE_YOUNG 4  /* its accessed bit is set */
#define PTE_FILE 8   /* in runs that ask for ageing: a young page of a file or of shared memory */

/* pte_slot.ageing: what clears the accessed bit of a young entry; set in runs that ask for it */
#define PTE_AGE_NEVER 0 /* nothing: zero page, hugetlb, device memory */
#define PTE_AGE_COLD 1  /* MADV_COLD of the slot's extent */
#define PTE_AGE_MAYBE 2 /* MADV_COLD, should the page be on an LRU list by then */
#define PTE_AGE_WHOLE                                                         \
  3 /* clear_refs only: several mappings, locked, or MADV_COLD would split it \
     */

/* One address to look at. */
struct pte_slot {
  __u64 addr;      /* in: virtual, bytes */
  __s32 fd;        /* in: descriptor of the running thread that holds the address space */
  __u8 flags;      /* out: PTE_DEAD, PTE_MAPPED, PTE_YOUNG, PTE_FILE */
  __u8 leaf_shift; /* out: log2 of the bytes that the entry maps */
  __u8 ageing;     /* out: PTE_AGE_* */
  __u8 reserved;
  __u16 before; /* out: pages of the extent below the one that holds addr */
  __u16 pages;  /* out: pages of the extent that is to be advised as one; 0: the leaf */
  __u32 reserved2;
  __u64 frame; /* out, where it is mapped: number of the first page frame of the leaf */
};

/* What a run of `probe_page` tells, to check a layout by: of the pages at slots[0].addr and
 * slots[1].addr, which the kernel maps once and twice, of the one at slots[2].addr, which may not
 * be accessed, and of a page that is the tail of a folio. */
struct pte_probe {
  __u64 pgd;           /* kernel address of the top page table; 0: no address space */
  __u64 some_page;     /* kernel address of some page descriptor; 0: none found */
  __u64 content;       /* the eight bytes at slots[0].addr, read through page_offset */
  __u64 folio_index;   /* its descriptor's idea of the address, in pages */
  __u64 tail;          /* kernel address of a tail page's descriptor; 0: none found */
  __u64 no_access;     /* the entry at slots[2].addr */
  __u64 head;          /* that of its folio's first page, as the tail says; 0: not understood */
  __u32 head_is_head;  /* whether the latter says so of itself */
  __s32 mappings;      /* of the page at slots[0].addr */
  __s32 twin_mappings; /* of the page at slots[1].addr */
  __u32 reserved;
};

/* Argument of a run of `walk_pages`. */
struct pte_args {
  __u32 nr_slots;
  __u32 want_ageing;
};

/* Argument of a run of `peek_map_lock`. */
struct pte_peek {
  __s32 fd;
  __u32 reserved;
};

struct pte_shared {
  struct pte_layout layout;
  struct pte_probe probe;
  __u64 scratch[PTE_MAX_ENTRIES];
  struct pte_slot slots[PTE_MAX_SLOTS];
};
