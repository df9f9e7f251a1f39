/* Between a process and its files: counts the system calls on files below one directory, writes them down, and lets
 * one of them fail, wait, be cut in half, or be the last thing the process does. Preloaded (LD_PRELOAD); see shim.py.
 *
 * Everything is serialised by one lock, so the order in the trace is the order in which things happened. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

enum { READ = 1, WRITE = 2, SYNC = 4, TRUNCATE = 8, OPEN_READ = 16, OPEN_WRITE = 32, CREATE = 64, ENTRY = 128 };
enum { FILES = 4096, NAME = 512 };

static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
static char root[NAME];      /* empty: nothing is watched */
static size_t root_length;
static int trace_fd = -1;    /* where to write calls down, or -1 */
static long counted;         /* calls of the masked kinds so far */
static long at;              /* which of them meets its fate; 0: none */
static int mask;             /* kinds that count */
static int fate_errno;       /* 0: the process is killed; else the call fails with this */
static int is_for_ever;      /* every later call of these kinds fails, too */
static int tear;             /* sixteenths of a killed write that still happen */
static int slow_us;          /* how long a sync takes longer */
static int is_lazy;          /* syncs are counted and told, and not done */
static char trigger[NAME];   /* nothing counts before this file exists; empty: at once */
static char names[FILES][96]; /* by descriptor, empty: not watched */

#define REAL(name) ((__typeof__(&name))real(#name))
static void *real(const char *name)
{
    void *found = dlsym(RTLD_NEXT, name);
    if (!found) abort();
    return found;
}

/* ------------------------------------------------------------------------------------------------ the trace */

struct record { uint8_t kind; uint8_t pad[3]; uint32_t name_length; uint64_t inode; int64_t offset; uint64_t length; };

static void put(const void *data, size_t length)
{
    const char *next = data;
    while (length) {
        long done = syscall(SYS_write, trace_fd, next, length);
        if (done <= 0) abort();
        next += done; length -= done;
    }
}

static void note(char kind, const char *name, uint64_t inode, int64_t offset, const void *data, size_t length)
{
    if (trace_fd < 0) return;
    struct record head = { (uint8_t)kind, {0}, (uint32_t)strlen(name), inode, offset, data ? length : 0 };
    put(&head, sizeof head);
    put(name, head.name_length);
    if (data) put(data, length);
}

static uint64_t inode_of(int fd)
{
    struct stat found;
    return syscall(SYS_fstat, fd, &found) ? 0 : found.st_ino;
}

/* ------------------------------------------------------------------------------------------------ what is watched */

static const char *below(const char *path)
{
    if (!root_length || !path || strncmp(path, root, root_length)) return NULL;
    if (!path[root_length]) return ".";
    return path[root_length] == '/' && strlen(path + root_length + 1) < 96 ? path + root_length + 1 : NULL;
}

static const char *file(int fd) { return root_length && fd >= 0 && fd < FILES && names[fd][0] ? names[fd] : NULL; }

/* The index of the write-ahead log lives in memory and is built again: no write to it is worth anything. */
static int is_memory(const char *name)
{
    size_t length = strlen(name);
    return length > 4 && !strcmp(name + length - 4, "-shm");
}

/* Whether this call meets its fate now. */
static int strikes(int kind)
{
    if (!(kind & mask)) return 0;
    if (trigger[0] && syscall(SYS_access, trigger, F_OK)) return 0;
    counted++;
    if (!at) return 0;
    return counted == at || (is_for_ever && fate_errno && counted > at);
}

static void die(void) { syscall(SYS_kill, getpid(), SIGKILL); for (;;) pause(); }

/* Before a call that is not a write: 1 when it is to fail. */
static int refused(int kind, const char *name)
{
    if (is_memory(name) && !fate_errno) return 0;
    if (!strikes(kind)) return 0;
    if (!fate_errno) die();
    errno = fate_errno;
    return 1;
}

/* ------------------------------------------------------------------------------------------------ the calls */

typedef int (*opener)(const char *, int, ...);

static int opening(opener call, const char *path, int flags, mode_t mode)
{
    const char *name = below(path);
    if (!name) return call(path, flags, mode);
    pthread_mutex_lock(&turn);
    int is_new = (flags & O_CREAT) && syscall(SYS_access, path, F_OK);
    int kind = is_new ? CREATE : (flags & O_ACCMODE) == O_RDONLY ? OPEN_READ : OPEN_WRITE;
    int fd = -1;
    if (!refused(kind, name)) {
        fd = call(path, flags, mode);
        if (fd >= 0 && fd < FILES) strcpy(names[fd], name);
        if (fd >= 0 && is_new && !is_memory(name)) note('O', name, inode_of(fd), 0, NULL, 0);
        if (fd >= 0 && !is_new && (flags & O_TRUNC) && !is_memory(name)) note('T', name, inode_of(fd), 0, NULL, 0);
    }
    int kept = errno;
    pthread_mutex_unlock(&turn);
    errno = kept;
    return fd;
}

#define OPEN(name)                                                       \
    int name(const char *path, int flags, ...)                           \
    {                                                                    \
        va_list rest; va_start(rest, flags);                             \
        mode_t mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(rest, mode_t) : 0; \
        va_end(rest);                                                    \
        return opening((opener)REAL(name), path, flags, mode);           \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name, plain)                                              \
    int name(int folder, const char *path, int flags, ...)               \
    {                                                                    \
        va_list rest; va_start(rest, flags);                             \
        mode_t mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(rest, mode_t) : 0; \
        va_end(rest);                                                    \
        if (below(path)) return opening((opener)real(plain), path, flags, mode); \
        return REAL(name)(folder, path, flags, mode);                    \
    }
OPENAT(openat, "open")
OPENAT(openat64, "open64")

int close(int fd)
{
    if (fd >= 0 && fd < FILES) names[fd][0] = 0;
    return REAL(close)(fd);
}

static ssize_t writing(int fd, const char *name, const void *data, size_t length, off_t offset)
{
    pthread_mutex_lock(&turn);
    ssize_t done = -1;
    int is_told = !is_memory(name), is_struck = (is_told || fate_errno) && strikes(WRITE), kept;
    if (is_struck && fate_errno) {
        /* A disk that fills up takes a part first. */
        if (fate_errno == ENOSPC && counted == at && is_for_ever && length > 1)
            done = syscall(SYS_pwrite64, fd, data, length / 2, offset);
        else
            errno = fate_errno;
    } else {
        done = syscall(SYS_pwrite64, fd, data, is_struck ? length * tear / 16 : length, offset);
    }
    kept = errno;
    if (done > 0 && is_told) note('W', name, inode_of(fd), offset, data, done);
    if (is_struck && !fate_errno) die();
    pthread_mutex_unlock(&turn);
    errno = kept;
    return done;
}

ssize_t pwrite(int fd, const void *data, size_t length, off_t offset)
{
    const char *name = file(fd);
    return name ? writing(fd, name, data, length, offset) : REAL(pwrite)(fd, data, length, offset);
}

ssize_t pwrite64(int fd, const void *data, size_t length, off64_t offset)
{
    const char *name = file(fd);
    return name ? writing(fd, name, data, length, offset) : REAL(pwrite64)(fd, data, length, offset);
}

ssize_t write(int fd, const void *data, size_t length)
{
    const char *name = file(fd);
    if (!name) return REAL(write)(fd, data, length);
    off_t offset = lseek(fd, 0, (fcntl(fd, F_GETFL) & O_APPEND) ? SEEK_END : SEEK_CUR);
    ssize_t done = writing(fd, name, data, length, offset);
    if (done > 0) lseek(fd, offset + done, SEEK_SET);
    return done;
}

static int reads(int fd)
{
    const char *name = file(fd);
    if (!name) return 1;
    pthread_mutex_lock(&turn);
    int is_refused = refused(READ, name), kept = errno;
    pthread_mutex_unlock(&turn);
    errno = kept;
    return !is_refused;
}

ssize_t read(int fd, void *data, size_t length) { return reads(fd) ? REAL(read)(fd, data, length) : -1; }
ssize_t pread(int fd, void *data, size_t length, off_t offset)
{
    return reads(fd) ? REAL(pread)(fd, data, length, offset) : -1;
}
ssize_t pread64(int fd, void *data, size_t length, off64_t offset)
{
    return reads(fd) ? REAL(pread64)(fd, data, length, offset) : -1;
}

typedef int (*syncer)(int);

static int syncing(syncer call, int fd)
{
    const char *name = file(fd);
    if (!name) return call(fd);
    if (slow_us) usleep(slow_us);
    pthread_mutex_lock(&turn);
    int done = -1;
    if (!refused(SYNC, name)) {
        done = is_lazy ? 0 : call(fd);
        if (!done && !is_memory(name)) note(strcmp(name, ".") ? 'S' : 'D', name, inode_of(fd), 0, NULL, 0);
    }
    int kept = errno;
    pthread_mutex_unlock(&turn);
    errno = kept;
    return done;
}

int fsync(int fd) { return syncing(REAL(fsync), fd); }
int fdatasync(int fd) { return syncing(REAL(fdatasync), fd); }

static int cutting(int fd, off_t length)
{
    const char *name = file(fd);
    if (!name) return (int)syscall(SYS_ftruncate, fd, length);
    pthread_mutex_lock(&turn);
    int done = -1;
    if (!refused(TRUNCATE, name)) {
        done = (int)syscall(SYS_ftruncate, fd, length);
        if (!done && !is_memory(name)) note('T', name, inode_of(fd), length, NULL, 0);
    }
    int kept = errno;
    pthread_mutex_unlock(&turn);
    errno = kept;
    return done;
}

int ftruncate(int fd, off_t length) { return cutting(fd, length); }
int ftruncate64(int fd, off64_t length) { return cutting(fd, length); }

int unlink(const char *path)
{
    const char *name = below(path);
    if (!name) return REAL(unlink)(path);
    pthread_mutex_lock(&turn);
    int done = -1;
    if (!refused(ENTRY, name)) {
        done = (int)syscall(SYS_unlink, path);
        if (!done && !is_memory(name)) note('U', name, 0, 0, NULL, 0);
    }
    int kept = errno;
    pthread_mutex_unlock(&turn);
    errno = kept;
    return done;
}

int rename(const char *from, const char *to)
{
    const char *name = below(from), *other = below(to);
    if (!name || !other) return REAL(rename)(from, to);
    pthread_mutex_lock(&turn);
    int done = -1;
    if (!refused(ENTRY, name)) {
        done = (int)syscall(SYS_rename, from, to);
        if (!done) note('R', name, 0, 0, other, strlen(other));
    }
    int kept = errno;
    pthread_mutex_unlock(&turn);
    errno = kept;
    return done;
}

/* ------------------------------------------------------------------------------------------------ from outside */

/* Watch a directory (an absolute path, or "" to stop), from the next call on. */
void shim_watch(const char *directory, int trace)
{
    pthread_mutex_lock(&turn);
    snprintf(root, sizeof root, "%s", directory);
    root_length = strlen(root);
    trace_fd = trace;
    pthread_mutex_unlock(&turn);
}

void shim_plan(long which, int kinds, int error, int for_ever, int torn, int slow, int lazy)
{
    pthread_mutex_lock(&turn);
    counted = 0; at = which; mask = kinds; fate_errno = error; is_for_ever = for_ever;
    tear = torn; slow_us = slow; is_lazy = lazy;
    pthread_mutex_unlock(&turn);
}

/* How many calls of the planned kinds there were. */
long shim_counted(void) { return counted; }

/* Put a word of the process's own into the trace: what follows was written later. */
void shim_mark(const char *word)
{
    pthread_mutex_lock(&turn);
    if (trace_fd >= 0) note('M', "", 0, 0, word, strlen(word));
    pthread_mutex_unlock(&turn);
}

static long number(const char *name)
{
    const char *text = getenv(name);
    return text ? atol(text) : 0;
}

/* A process that knows nothing of us is told by its environment. */
__attribute__((constructor)) static void begin(void)
{
    const char *directory = getenv("SHIM_WATCH"), *starter = getenv("SHIM_TRIGGER");
    if (!directory) return;
    if (starter) snprintf(trigger, sizeof trigger, "%s", starter);
    shim_watch(directory, -1);
    shim_plan(number("SHIM_AT"), (int)number("SHIM_KINDS"), (int)number("SHIM_ERRNO"), (int)number("SHIM_FOR_EVER"),
              (int)number("SHIM_TEAR"), (int)number("SHIM_SLOW_US"), (int)number("SHIM_LAZY"));
}
