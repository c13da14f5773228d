/* SPDX-License-Identifier: MIT OR GPL-2.0-only
 *
 * What the BPF programs share: reading kernel memory, and the address space behind a descriptor.
 * The few kernel types that are needed are declared here and relocated when loaded (CO-RE).
 */
#pragma once

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <linux/bpf.h>
#include <stdbool.h>

#define RELOCATED __attribute__((preserve_access_index))

struct counter {
  int counter;
} RELOCATED;

struct long_counter {
  long counter;
} RELOCATED;

/* Of kernels with real-time locks. */
struct rwbase_rt {
  struct counter readers;
} RELOCATED;

/* Kernels have one of the two. */
struct rw_semaphore {
  struct long_counter count;
  struct rwbase_rt rwbase;
} RELOCATED;

struct mm_struct {
  struct counter mm_users;
  void* pgd;
  struct rw_semaphore mmap_lock;
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

struct page;

struct vm_struct {
  struct page** pages;
} RELOCATED;

struct task_struct {
  struct files_struct* files;
  struct vm_struct* stack_vm_area;
} RELOCATED;

static __always_inline __u64 read_word(__u64 address) {
  __u64 word = 0;

  if (bpf_probe_read_kernel(&word, sizeof(word), (const void*)address)) return 0;
  return word;
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

/* The top page table of the address space behind `fd`; 0 if there is none, or if it has no users
 * any more: then its page table is being or has been taken down. */
static __always_inline __u64 top_table_of(__s32 fd) {
  const struct mm_struct* mm = (const struct mm_struct*)mm_of(fd);

  if (!mm || BPF_CORE_READ(mm, mm_users.counter) <= 0) return 0;
  return (__u64)BPF_CORE_READ(mm, pgd);
}
