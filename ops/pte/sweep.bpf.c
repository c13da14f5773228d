// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Copies page tables of a process, as many and as whole as one run may, from inside the kernel. Run
 * by BPF_PROG_RUN (table_reader.cc), in the calling thread. As pte_walk.bpf.c it takes no lock and
 * writes nothing but its own map, and an address space is named in the same way.
 *
 * Tables may be freed, and their memory used for something else, while they are copied. The kernel
 * takes a table out of the one above it before it frees it. So all entries that led to a table are
 * read again after it was copied: where one of them has changed, the copy is dropped and the run
 * ends there.
 */
#include "ops/pte/sweep.h"

#include "ops/pte/kernel_memory.bpf.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

const volatile struct pte_geometry geometry;
struct sweep_shared shared;

#include "ops/pte/table_walk.h"

/* A table and the entry that leads to it, for addresses that agree with `key` above what the table
 * covers. */
struct level {
  __u64 key;
  __u64 table;
  __u64 entry;
};

struct walk {
  __u64 addr; /* to be looked at next */
  __u64 end;
  struct level at[PTE_MAX_LEVELS]; /* the highest is the top table, which no entry leads to */
  __u64 part;                      /* number of the part of the middle table that was copied */
  __u32 nr_tables;
  __u32 max_tables;
  __u32 directory; /* slot of that copy */
  __u32 reserved;
};

/* Not on the stack, where the verifier would follow all values that it can take. */
static struct walk walk;

static __always_inline bool same_table(__u64 entry, __u64 before) {
  return !((entry ^ before) & ~geometry.accessed);
}

/* Whether the tables that lead to the middle table in use are still in place. */
static __always_inline bool directory_in_place(__u64 addr) {
  PTE_UNROLL
  for (int level = PTE_MAX_LEVELS - 1; level > 1; level--) {
    if (level < (int)shared.layout.levels &&
        !same_table(entry_of(walk.at[level].table, addr, level), walk.at[level - 1].entry))
      return false;
  }
  return true;
}

/* log2 of what a part of a table covers, given that of an entry. */
static __always_inline __u32 part_shift(__u32 shift) { return shift + SWEEP_ENTRIES_SHIFT; }

/* Goes on behind what covers 1 << shift bytes. */
static __always_inline long skip(__u32 shift) {
  walk.addr = (walk.addr | ((1ull << shift) - 1)) + 1;
  return 0;
}

/* Takes the next slot, of which there is one, for what covers 1 << covered bytes by entries of
 * 1 << shift. */
static __always_inline __u32 take_slot(__u32 shift, __u32 covered) {
  __u32 slot = walk.nr_tables++ & (SWEEP_MAX_TABLES - 1);

  shared.tables[slot].addr = walk.addr & ~((1ull << covered) - 1);
  shared.tables[slot].shift = shift;
  return slot;
}

/* Copies the part of `table`, of `level`, that is for the address; says whether that worked. */
static __always_inline bool copy(__u64 table, int level) {
  __u64 first = pte_index(&geometry, walk.addr, level) & ~(__u64)(SWEEP_ENTRIES - 1);
  __u32 slot = take_slot(geometry.shift[level], part_shift(geometry.shift[level]));

  return !bpf_probe_read_kernel(shared.entries[slot], sizeof(shared.entries[slot]),
                                (const void*)(table + first * sizeof(__u64)));
}

/* Drops the last copy, of a table that has changed, and ends the run. */
static __always_inline long drop(void) {
  walk.nr_tables--;
  shared.changed = 1;
  return 1;
}

/* Finds and copies the part of a middle table for the address, or goes on to where one may be. */
static __always_inline long enter_directory(void) {
  __u64 addr = walk.addr;
  __u64 table = 0;
  bool copied;

  PTE_UNROLL
  for (int level = PTE_MAX_LEVELS - 1; level > 1; level--) {
    __u32 shift = geometry.shift[level];
    __u64 entry;

    if (level >= (int)shared.layout.levels || walk.at[level - 1].key == addr >> shift) continue;
    entry = entry_of(walk.at[level].table, addr, level);
    if (is_huge(entry)) {
      shared.entries[take_slot(shift, shift)][0] = entry;
      return skip(shift);
    }
    table = table_at(entry);
    if (!table) return skip(shift);
    walk.at[level - 1] = (struct level){addr >> shift, table, entry};
  }
  walk.part = addr >> part_shift(geometry.shift[1]);
  walk.directory = walk.nr_tables;
  copied = copy(walk.at[1].table, 1);
  return copied && directory_in_place(addr) ? 0 : drop();
}

static long step(__u32 i, void* unused) {
  __u64 addr = walk.addr;
  __u64 entry, table;
  bool good;

  if (addr >= walk.end || walk.nr_tables >= walk.max_tables) return 1;
  if (walk.part != addr >> part_shift(geometry.shift[1])) return enter_directory();

  entry = shared.entries[walk.directory & (SWEEP_MAX_TABLES - 1)]
                        [(addr >> geometry.shift[1]) & (SWEEP_ENTRIES - 1)];
  table = table_at(entry);
  if (!table) return skip(geometry.shift[1]);
  good = copy(table, 0);
  good = good && directory_in_place(addr) && same_table(entry_of(walk.at[1].table, addr, 1), entry);
  return good ? skip(part_shift(geometry.shift[0])) : drop();
}

/* Copies what there is of page tables for [start, end), from `start` on. */
SEC("syscall")
int read_tables(struct sweep_args* args) {
  const __u64 limit = 1ull << shared.layout.user_bits;
  __u64 top = top_table_of(args->fd);
  __u64 end = args->end;

  shared.nr_tables = 0;
  shared.changed = 0;
  shared.next = args->start;
  shared.dead = !top;
  if (!top) return 0;
  walk.addr = args->start;
  walk.end = end < limit ? end : limit;
  walk.part = NO_KEY;
  PTE_UNROLL
  for (int level = PTE_MAX_LEVELS - 1; level > 0; level--)
    walk.at[level] = (struct level){NO_KEY, level == (int)shared.layout.levels - 1 ? top : 0, 0};
  walk.nr_tables = 0;
  walk.max_tables = args->max_tables < SWEEP_MAX_TABLES ? args->max_tables : SWEEP_MAX_TABLES;
  bpf_loop(SWEEP_MAX_STEPS, step, 0, 0);
  shared.nr_tables = walk.nr_tables;
  shared.next = walk.addr >= walk.end ? end : walk.addr;
  return 0;
}
