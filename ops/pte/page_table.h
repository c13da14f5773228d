/* SPDX-License-Identifier: MIT
 *
 * How page tables are written: what the BPF programs and their users know of an architecture, and
 * what an entry says by that. Plain C, for it is compiled for BPF too.
 */
#pragma once

#include <linux/types.h>
#ifndef __cplusplus
#include <stdbool.h>
#endif

#define PTE_MAX_LEVELS 5
#define PTE_MAX_ENTRIES 8192 /* of a table: pages of 64 KiB */

/* What follows from the architecture and the page size. Masks are of bits of an entry. A constant
 * of the BPF programs, set before they are loaded. */
struct pte_geometry {
  __u32 shift[PTE_MAX_LEVELS]; /* log2 of the bytes that an entry covers; 0: of a lowest table */
  __u32 entries;               /* of a table, a power of two */
  __u64 present;               /* the processor follows the entry */
  __u64 accessed;
  __u64 special;    /* no page descriptor to be touched: the zero page, device memory */
  __u64 varying;    /* what entries of one folio may differ in (folio_pte_batch()) */
  __u64 leaf_mask;  /* an entry above the lowest tables maps memory itself if it is mapped ... */
  __u64 leaf_value; /* ... and these bits are so */
  __u64 table_mask; /* it leads to a table if these bits ... */
  __u64 table_value;
  __u64 group;      /* the entry is of a group of which any may hold the accessed bit; 0: no such */
  __u32 group_size; /* entries of a group in a lowest table, a power of two */
  __u32 inverts;    /* whether Linux inverts the address in entries that are not present */
};

/* How this kernel lays out its memory; the same until the next boot. */
struct pte_layout {
  __u64 page_offset; /* kernel address at which physical address 0 is, or would be, mapped */
  __u64 phys_mask;   /* bits of an entry that are a physical address where they stand */
  __u64 high_mask;   /* bits of an entry that are higher ones of it */
  __u64 phys_end;    /* no page table and no page descriptor lies beyond; bytes */
  __u64 vmemmap;     /* kernel address of the array of page descriptors; 0: not known */
  __u64 mapped;      /* an entry maps a page if any of these bits is set; may be without access */
  __u32 high_shift;  /* by how much those of high_mask stand too low */
  __u32 levels;      /* of the page table: 2 to 5 */
  __u32 user_bits;   /* of an address of a process */
  __u32 reserved;
};

#define PTE_INLINE static inline __attribute__((always_inline))
#ifdef __bpf__
#define PTE_UNROLL _Pragma("unroll")
#else
#define PTE_UNROLL
#endif

/* Physical address in an entry. */
PTE_INLINE __u64 pte_physical(const volatile struct pte_geometry* geometry,
                              const volatile struct pte_layout* layout, __u64 entry) {
  if (geometry->inverts && !(entry & geometry->present)) entry = ~entry;
  return (entry & layout->phys_mask) | (entry & layout->high_mask) << layout->high_shift;
}

/* Whether an entry of a table above the lowest maps memory itself. */
PTE_INLINE bool pte_is_huge(const volatile struct pte_geometry* geometry,
                            const volatile struct pte_layout* layout, __u64 entry) {
  return (entry & geometry->leaf_mask) == geometry->leaf_value &&
         (entry & (geometry->leaf_value | layout->mapped)) != 0;
}

/* Kernel address of the table that an entry leads to; 0 if it leads to none. */
PTE_INLINE __u64 pte_table_at(const volatile struct pte_geometry* geometry,
                              const volatile struct pte_layout* layout, __u64 entry) {
  __u64 phys = pte_physical(geometry, layout, entry);

  if ((entry & geometry->table_mask) != geometry->table_value || phys >= layout->phys_end) return 0;
  return layout->page_offset + phys;
}

/* Number of the entry for `addr` in a table of `level`. */
PTE_INLINE __u64 pte_index(const volatile struct pte_geometry* geometry, __u64 addr, int level) {
  return (addr >> geometry->shift[level]) & (geometry->entries - 1);
}
