/* SPDX-License-Identifier: MIT OR GPL-2.0-only
 *
 * The way from an address to its page-table entry. Plain C, for it is compiled for BPF; a unit test
 * walks tables of its own with it. Whoever includes it defines before:
 *
 *   static __u64 read_word(__u64 address);  // of kernel memory; 0 if it cannot be read
 *   geometry                                // a struct pte_geometry
 *   shared.layout                           // a struct pte_layout
 */
#pragma once

#include "ops/pte/page_table.h"

#define NO_KEY (~0ull)

/* The tables that the last address led through. That of a level is valid for addresses that agree
 * with its key in all bits above what it covers. The highest is the top one. */
struct table_walk {
  __u64 top; /* kernel address of the top table; 0: the address space has gone */
  __u64 key[PTE_MAX_LEVELS - 1];
  __u64 table[PTE_MAX_LEVELS - 1];
};

PTE_INLINE __u64 table_at(__u64 entry) { return pte_table_at(&geometry, &shared.layout, entry); }

PTE_INLINE bool is_huge(__u64 entry) { return pte_is_huge(&geometry, &shared.layout, entry); }

PTE_INLINE __u64 entry_of(__u64 table, __u64 addr, int level) {
  return read_word(table + pte_index(&geometry, addr, level) * sizeof(__u64));
}

PTE_INLINE bool maps_user(__u64 addr) { return addr >> shared.layout.user_bits == 0; }

PTE_INLINE void begin_walk(struct table_walk* walk, __u64 top) {
  walk->top = top;
  walk->key[0] = walk->key[1] = walk->key[2] = walk->key[3] = NO_KEY;
}

/* Finds the entry that maps `addr` or stands where it would; `shift` becomes the log2 of what it
 * covers. Only entries of the lowest tables and huge leaves are given back; 0 otherwise. */
PTE_INLINE __u64 leaf_of(struct table_walk* walk, __u64 addr, __u8* shift) {
  __u64 table = walk->top;

  *shift = (__u8)geometry.shift[0];
  if (walk->key[0] == addr >> geometry.shift[1]) return entry_of(walk->table[0], addr, 0);
  PTE_UNROLL
  for (int level = PTE_MAX_LEVELS - 1; level > 0; level--) {
    __u64 key;
    __u64 entry;

    if (level >= (int)shared.layout.levels) continue;
    key = addr >> geometry.shift[level];
    if (walk->key[level - 1] == key) {
      table = walk->table[level - 1];
      continue;
    }
    entry = entry_of(table, addr, level);
    *shift = (__u8)geometry.shift[level];
    if (is_huge(entry)) return entry;
    table = table_at(entry);
    if (!table) return 0;
    walk->key[level - 1] = key;
    walk->table[level - 1] = table;
  }
  *shift = (__u8)geometry.shift[0];
  return entry_of(table, addr, 0);
}
