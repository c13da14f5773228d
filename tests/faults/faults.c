// Preloaded into a daemon under test: has one call fail, the Nth after a test says so. The test and
// this share the file that $DAMONFS_FAULTS names, which holds a `struct faults`.
//
// Calls that use /dev/fuse never fail: what cannot be answered is never answered, whoever is at
// fault.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <unistd.h>

enum kind { kCall = 1, kThread = 2, kMemory = 4 };

struct faults {
  _Atomic int64_t countdown;  // calls before the one that fails; below 0: none
  _Atomic int64_t kinds;      // bits of enum kind that count
  _Atomic int64_t failed;     // how many have failed
  char name[40];              // of the last one that has
};

static struct faults* faults;

#define REAL(name) ((__typeof__(&name))real(&real_##name, #name))
#define DECLARE(name) static void* real_##name

static void* real(void** place, const char* name) {
  if (*place == NULL) *place = dlsym(RTLD_NEXT, name);
  return *place;
}

__attribute__((constructor)) static void begin(void) {
  const char* path = getenv("DAMONFS_FAULTS");
  const int fd = path == NULL ? -1 : (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC);
  if (fd < 0) return;
  void* memory = mmap(NULL, sizeof(struct faults), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close(fd);
  if (memory != MAP_FAILED) faults = memory;
}

// Whether the call `name` is to fail, with errno set to `error`.
static int fails(enum kind kind, const char* name, int error) {
  if (faults == NULL || (faults->kinds & kind) == 0 || faults->countdown < 0) return 0;
  if (atomic_fetch_sub(&faults->countdown, 1) != 0) return 0;
  strncpy(faults->name, name, sizeof(faults->name) - 1);
  ++faults->failed;
  errno = error;
  return 1;
}

static int is_fuse(int fd) {
  struct stat status;
  return syscall(SYS_fstat, fd, &status) == 0 && status.st_rdev == makedev(10, 229);
}

#define OPEN_MODE(flags)                        \
  mode_t mode = 0;                              \
  if (((flags) & (O_CREAT | O_TMPFILE)) != 0) { \
    va_list list;                               \
    va_start(list, flags);                      \
    mode = va_arg(list, mode_t);                \
    va_end(list);                               \
  }

DECLARE(open);
int open(const char* path, int flags, ...) {
  OPEN_MODE(flags)
  if (fails(kCall, path, EMFILE)) return -1;
  return REAL(open)(path, flags, mode);
}
DECLARE(open64);
int open64(const char* path, int flags, ...) {
  OPEN_MODE(flags)
  if (fails(kCall, path, EMFILE)) return -1;
  return REAL(open64)(path, flags, mode);
}
DECLARE(openat);
int openat(int at, const char* path, int flags, ...) {
  OPEN_MODE(flags)
  if (fails(kCall, path, EMFILE)) return -1;
  return REAL(openat)(at, path, flags, mode);
}
DECLARE(openat64);
int openat64(int at, const char* path, int flags, ...) {
  OPEN_MODE(flags)
  if (fails(kCall, path, EMFILE)) return -1;
  return REAL(openat64)(at, path, flags, mode);
}

#define WITH_FD(name, parameters, arguments)                 \
  DECLARE(name);                                             \
  ssize_t name parameters {                                  \
    if (!is_fuse(fd) && fails(kCall, #name, EIO)) return -1; \
    return REAL(name) arguments;                             \
  }
WITH_FD(read, (int fd, void* to, size_t size), (fd, to, size))
WITH_FD(pread, (int fd, void* to, size_t size, off_t at), (fd, to, size, at))
WITH_FD(pread64, (int fd, void* to, size_t size, off64_t at), (fd, to, size, at))
WITH_FD(write, (int fd, const void* from, size_t size), (fd, from, size))
WITH_FD(pwrite, (int fd, const void* from, size_t size, off_t at), (fd, from, size, at))
WITH_FD(pwrite64, (int fd, const void* from, size_t size, off64_t at), (fd, from, size, at))

#define MAKES(name, error, parameters, arguments) \
  DECLARE(name);                                  \
  int name parameters {                           \
    if (fails(kCall, #name, error)) return -1;    \
    return REAL(name) arguments;                  \
  }
MAKES(eventfd, EMFILE, (unsigned int count, int flags), (count, flags))
MAKES(timerfd_create, EMFILE, (int clock, int flags), (clock, flags))
MAKES(socket, EMFILE, (int domain, int type, int protocol), (domain, type, protocol))
MAKES(pipe2, EMFILE, (int fds[2], int flags), (fds, flags))
MAKES(pipe, EMFILE, (int fds[2]), (fds))
MAKES(memfd_create, EMFILE, (const char* name, unsigned int flags), (name, flags))
MAKES(ftruncate, ENOSPC, (int fd, off_t size), (fd, size))
MAKES(mprotect, ENOMEM, (void* at, size_t size, int how), (at, size, how))
MAKES(madvise, ENOMEM, (void* at, size_t size, int how), (at, size, how))

DECLARE(mmap);
void* mmap(void* at, size_t size, int how, int flags, int fd, off_t offset) {
  if (fails(kCall, "mmap", ENOMEM)) return MAP_FAILED;
  return REAL(mmap)(at, size, how, flags, fd, offset);
}
DECLARE(mmap64);
void* mmap64(void* at, size_t size, int how, int flags, int fd, off64_t offset) {
  if (fails(kCall, "mmap64", ENOMEM)) return MAP_FAILED;
  return REAL(mmap64)(at, size, how, flags, fd, offset);
}

DECLARE(syscall);
long syscall(long number, ...) {
  va_list list;
  va_start(list, number);
  long argument[6];
  for (int i = 0; i < 6; ++i) argument[i] = va_arg(list, long);
  va_end(list);
  const int ours = number == SYS_futex || number == SYS_fstat || number == SYS_gettid;
  char name[24] = "syscall ";
  for (long rest = number, at = number > 99 ? 10 : number > 9 ? 9 : 8; at >= 8; --at, rest /= 10) {
    name[at] = (char)('0' + rest % 10);
  }
  if (!ours && fails(kCall, name, number == SYS_pidfd_open ? EMFILE : ENOMEM)) return -1;
  return REAL(syscall)(number, argument[0], argument[1], argument[2], argument[3], argument[4],
                       argument[5]);
}

DECLARE(pthread_create);
int pthread_create(pthread_t* thread, const pthread_attr_t* attr, void* (*body)(void*),
                   void* argument) {
  if (fails(kThread, "pthread_create", EAGAIN)) return EAGAIN;
  return REAL(pthread_create)(thread, attr, body, argument);
}

extern void* __libc_malloc(size_t size);
extern void* __libc_calloc(size_t number, size_t size);
extern void* __libc_realloc(void* memory, size_t size);
void* malloc(size_t size) { return fails(kMemory, "malloc", ENOMEM) ? NULL : __libc_malloc(size); }
void* calloc(size_t number, size_t size) {
  return fails(kMemory, "calloc", ENOMEM) ? NULL : __libc_calloc(number, size);
}
void* realloc(void* memory, size_t size) {
  return fails(kMemory, "realloc", ENOMEM) ? NULL : __libc_realloc(memory, size);
}
