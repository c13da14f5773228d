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

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <linux/bpf.h>
#include <stdbool.h>

char LICENSE[] SEC("license") = "Dual MIT/GPL";

#define RELOCATED __attribute__((preserve_access_index))

struct counter {
  int counter;
} RELOCATED;

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

struct task_struct {
  struct files_struct* files;
} RELOCATED;

/* Bits of an entry, by the processor's manual; 8 as Linux uses it. */
#define PRESENT (1ull << 0)
#define ACCESSED (1ull << 5)
#define HUGE_LEAF (1ull << 7)

#define PUD_SHIFT 30
#define P4D_SHIFT 39
#define PGD_SHIFT 48

#define NO_KEY (~0ull)

struct sweep_shared shared;

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
  __u64 top; /* table of the highest level */
  struct level p4d, pud, pmd;
  __u32 nr_tables;
  __u32 max_tables;
  __u32 directory; /* slot of the copy of pmd.table */
};

/* Not on the stack, where the verifier would follow all values that it can take. */
static struct walk walk;

static __always_inline __u64 read_word(__u64 address) {
  __u64 word = 0;

  if (bpf_probe_read_kernel(&word, sizeof(word), (const void*)address)) return 0;
  return word;
}

static __always_inline __u64 entry_of(__u64 table, __u64 addr, int shift) {
  return read_word(table + ((addr >> shift) & (PTE_TABLE_ENTRIES - 1)) * sizeof(__u64));
}

/* Kernel address of the table that an entry leads to; 0 if it leads to none. */
static __always_inline __u64 table_at(__u64 entry) {
  __u64 phys = entry & shared.layout.phys_mask;

  if (!(entry & PRESENT) || entry & HUGE_LEAF || phys >= shared.layout.phys_end) return 0;
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

static __always_inline bool same_table(__u64 entry, __u64 before) {
  return !((entry ^ before) & ~ACCESSED);
}

/* Whether the tables that lead to the middle table in use are still in place. */
static __always_inline bool directory_in_place(__u64 addr) {
  if (shared.layout.levels == 5 && !same_table(entry_of(walk.top, addr, PGD_SHIFT), walk.p4d.entry))
    return false;
  return same_table(entry_of(walk.p4d.table, addr, P4D_SHIFT), walk.pud.entry) &&
         same_table(entry_of(walk.pud.table, addr, PUD_SHIFT), walk.pmd.entry);
}

/* Goes on behind what one entry at `shift` covers. */
static __always_inline long skip(int shift) {
  walk.addr = (walk.addr | ((1ull << shift) - 1)) + 1;
  return 0;
}

/* Copies `table` into the next slot, of which there is one; says whether that was possible. */
static __always_inline bool copy(__u64 table, __u32 shift, __u64 covered) {
  __u32 slot = walk.nr_tables & (SWEEP_MAX_TABLES - 1);

  shared.tables[slot].addr = walk.addr & ~(covered - 1);
  shared.tables[slot].shift = shift;
  walk.nr_tables++;
  return !bpf_probe_read_kernel(shared.entries[slot], sizeof(shared.entries[slot]),
                                (const void*)table);
}

/* Drops the last copy, of a table that has changed, and ends the run. */
static __always_inline long drop(void) {
  walk.nr_tables--;
  shared.changed = 1;
  return 1;
}

/* Finds and copies the middle table for the address, or goes on to where one may be. */
static __always_inline long enter_directory(void) {
  __u64 addr = walk.addr;
  __u64 entry, table;
  bool copied;

  if (shared.layout.levels == 5 && walk.p4d.key != addr >> PGD_SHIFT) {
    entry = entry_of(walk.top, addr, PGD_SHIFT);
    table = table_at(entry);
    if (!table) return skip(PGD_SHIFT);
    walk.p4d = (struct level){addr >> PGD_SHIFT, table, entry};
  }
  if (walk.pud.key != addr >> P4D_SHIFT) {
    entry = entry_of(walk.p4d.table, addr, P4D_SHIFT);
    table = table_at(entry);
    if (!table) return skip(P4D_SHIFT);
    walk.pud = (struct level){addr >> P4D_SHIFT, table, entry};
  }
  entry = entry_of(walk.pud.table, addr, PUD_SHIFT);
  if (entry & HUGE_LEAF) {
    __u32 slot = walk.nr_tables++ & (SWEEP_MAX_TABLES - 1);

    shared.tables[slot].addr = addr & ~((1ull << PUD_SHIFT) - 1);
    shared.tables[slot].shift = SWEEP_GIGANTIC;
    shared.entries[slot][0] = entry;
    return skip(PUD_SHIFT);
  }
  table = table_at(entry);
  if (!table) return skip(PUD_SHIFT);
  walk.pmd = (struct level){addr >> PUD_SHIFT, table, entry};
  walk.directory = walk.nr_tables;
  copied = copy(table, SWEEP_DIRECTORY, 1ull << PUD_SHIFT);
  return copied && directory_in_place(addr) ? 0 : drop();
}

static long step(__u32 i, void* unused) {
  __u64 addr = walk.addr;
  __u64 entry, table;
  bool good;

  if (addr >= walk.end || walk.nr_tables >= walk.max_tables) return 1;
  if (walk.pmd.key != addr >> PUD_SHIFT) return enter_directory();

  entry = shared.entries[walk.directory & (SWEEP_MAX_TABLES - 1)]
                        [(addr >> PTE_PMD_SHIFT) & (PTE_TABLE_ENTRIES - 1)];
  table = table_at(entry);
  if (!table) return skip(PTE_PMD_SHIFT);
  good = copy(table, SWEEP_PAGES, 1ull << PTE_PMD_SHIFT);
  good = good && directory_in_place(addr) &&
         same_table(entry_of(walk.pmd.table, addr, PTE_PMD_SHIFT), entry);
  return good ? skip(PTE_PMD_SHIFT) : drop();
}

/* Copies what there is of page tables for [start, end), from `start` on. */
SEC("syscall")
int read_tables(struct sweep_args* args) {
  const struct mm_struct* mm = (const struct mm_struct*)mm_of(args->fd);
  const __u64 limit = 1ull << (shared.layout.levels == 5 ? 56 : 47);
  __u64 end = args->end;

  shared.nr_tables = 0;
  shared.changed = 0;
  shared.next = args->start;
  /* Without users its page table is being or has been taken down. */
  shared.dead = !mm || BPF_CORE_READ(mm, mm_users.counter) <= 0;
  if (shared.dead) return 0;
  walk.addr = args->start;
  walk.end = end < limit ? end : limit;
  walk.top = (__u64)BPF_CORE_READ(mm, pgd);
  walk.p4d = (struct level){NO_KEY, walk.top, 0};
  walk.pud = walk.pmd = (struct level){NO_KEY, 0, 0};
  walk.nr_tables = 0;
  walk.max_tables = args->max_tables < SWEEP_MAX_TABLES ? args->max_tables : SWEEP_MAX_TABLES;
  bpf_loop(SWEEP_MAX_STEPS, step, 0, 0);
  shared.nr_tables = walk.nr_tables;
  shared.next = walk.addr >= walk.end ? end : walk.addr;
  return 0;
}
