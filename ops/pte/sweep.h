/* SPDX-License-Identifier: MIT
 *
 * What the reader of whole page tables in the kernel (sweep.bpf.c) and its user (table_reader.cc)
 * share: one block of memory, mapped by both. Plain C, for it is compiled for BPF too.
 */
#pragma once

#include "ops/pte/page_table.h"

/* Tables are copied in parts of so many entries: all of a table where pages have 4 KiB. */
#define SWEEP_ENTRIES 512
#define SWEEP_ENTRIES_SHIFT 9
#define SWEEP_MAX_TABLES 256  /* parts a run copies; a power of two */
#define SWEEP_MAX_STEPS 32768 /* entries of upper tables a run looks at */

/* One copied part of a table. Those of lowest tables follow that of the middle table that leads to
 * them. */
struct sweep_table {
  __u64 addr;  /* virtual address that its first entry is for */
  __u32 shift; /* log2 of the bytes that an entry covers: geometry.shift[0], a lowest table; [1], a
                  middle one, whose huge leaves are its user's business; more: one entry only,
                  entries[0], a leaf of that size */
  __u32 reserved;
};

/* Argument of a run of `read_tables`. */
struct sweep_args {
  __u64 start; /* virtual addresses, bytes */
  __u64 end;
  __s32 fd;         /* descriptor of the running thread that holds the address space */
  __u32 max_tables; /* copy at most so many; at least 2 */
};

struct sweep_shared {
  struct pte_layout layout;
  __u64 next;      /* out: the first address that was not looked at */
  __u32 nr_tables; /* out: copied */
  __u32 dead;      /* out: there is no address space, or it has no users */
  __u32 changed;   /* out: the table at `next` went while it was copied: it is worth another run */
  __u32 reserved;
  struct sweep_table tables[SWEEP_MAX_TABLES];
  __u64 entries[SWEEP_MAX_TABLES][SWEEP_ENTRIES];
};
