/*
 * A disk that fails on demand and that remembers, for the tests in this folder.
 *
 * Loaded before the C library (LD_PRELOAD), it stands between a process and the files of one
 * directory. It can
 *  - fail operations: with an error, by writing only a part, or by ending the process right before,
 *    in the middle of or right after an operation;
 *  - be full: what makes a file longer takes from a number of free bytes;
 *  - record every change and every fsync, in order and with the bytes, so that a test can work out
 *    what a disk might hold after a loss of power at any of them.
 *
 * Why C: only a C function with the C library's name can stand in for it, and the workspace forbids
 * the unsafe Rust that this would take. A C compiler is needed for the build anyway. The store
 * itself knows nothing of this: it is the same binary on a worse disk.
 *
 * FAULTY_DISK_DIRECTORY  the directory
 * FAULTY_DISK_CONTROL    a file of 64-bit numbers, see `struct control`; the test writes to it at
 *                        any time, also while the process runs
 * FAULTY_DISK_RECORD     where to record to; nothing is recorded without it
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

/* What the test sets, and from `seen` on what it reads. */
struct control {
    volatile uint64_t action;     /* one of ACT_*, 0: nothing */
    volatile uint64_t operations; /* mask of OP_* */
    volatile uint64_t files;      /* mask of FILE_* */
    volatile uint64_t skip;       /* matching operations that pass first */
    volatile uint64_t count;      /* matching operations that are hit then */
    volatile uint64_t error;      /* errno for ACT_FAIL and ACT_SHORT_THEN_FAIL */
    volatile int64_t space;       /* free bytes; negative: no limit */
    volatile uint64_t real_sync;  /* 0: fsync is recorded but not passed on */
    volatile uint64_t seen;       /* matching operations so far */
    volatile uint64_t hit;        /* operations hit so far */
    volatile uint64_t full;       /* writes refused for lack of space so far */
    /* An operation says that it is under way and then looks whether the disk is to be still; the
     * test says that it is to be still and then looks whether an operation is under way. */
    _Atomic uint64_t still;       /* set by the test: operations wait for ever */
    _Atomic uint64_t busy;        /* an operation is under way */
};

enum { ACT_NONE, ACT_FAIL, ACT_SHORT, ACT_DIE_BEFORE, ACT_DIE_WITHIN, ACT_DIE_AFTER };
enum { OP_WRITE = 1, OP_SYNC = 2, OP_TRUNCATE = 4, OP_UNLINK = 8 /* or rename */, OP_OPEN = 16, OP_READ = 32 };
enum { FILE_DATABASE, FILE_LOG, FILE_INDEX, FILE_JOURNAL, FILE_OTHER, FILE_DIRECTORY, FILE_NEW,
       FILE_NONE };

#define FDS 65536
static unsigned char file_of[FDS]; /* FILE_* + 1; 0: not ours */
static char directory[4096];
static size_t directory_length;
static struct control nothing = {.space = -1, .real_sync = 1};
static struct control *control = &nothing;
static int record_fd = -1;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void set_up(void) {
    const char *name = getenv("FAULTY_DISK_DIRECTORY");
    if (!name || strlen(name) >= sizeof directory) return;
    const char *path = getenv("FAULTY_DISK_CONTROL");
    if (path) {
        int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0);
        void *page = fd < 0 ? MAP_FAILED
                            : mmap(0, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (page == MAP_FAILED) abort();
        control = page;
    }
    path = getenv("FAULTY_DISK_RECORD");
    if (path) {
        record_fd = (int)syscall(SYS_openat, AT_FDCWD, path,
                                 O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        if (record_fd < 0) abort();
    }
    strcpy(directory, name);
    directory_length = strlen(directory);
}

static int ends_with(const char *text, const char *end) {
    size_t length = strlen(text), tail = strlen(end);
    return length >= tail && !strcmp(text + length - tail, end);
}

static int kind(const char *path) {
    pthread_once(&once, set_up);
    if (!directory_length || !path || strncmp(path, directory, directory_length)) return FILE_NONE;
    if (!path[directory_length]) return FILE_DIRECTORY;
    if (path[directory_length] != '/') return FILE_NONE;
    if (ends_with(path, "events.sqlite")) return FILE_DATABASE;
    if (ends_with(path, "events.sqlite-wal")) return FILE_LOG;
    if (ends_with(path, "events.sqlite-shm")) return FILE_INDEX;
    if (ends_with(path, "events.sqlite-journal")) return FILE_JOURNAL;
    if (ends_with(path, "events.sqlite.new")) return FILE_NEW;
    return FILE_OTHER;
}

static int kind_of_fd(int fd) {
    return fd >= 0 && fd < FDS && file_of[fd] ? file_of[fd] - 1 : FILE_NONE;
}

/* One record: what, which file, where, how many bytes follow. */
static void record(char what, int file, uint64_t offset, const void *bytes, uint64_t length) {
    if (record_fd < 0) return;
    unsigned char head[24] = {'R', (unsigned char)what, (unsigned char)file};
    memcpy(head + 8, &offset, 8);
    memcpy(head + 16, &length, 8);
    struct iovec parts[2] = {{head, sizeof head}, {(void *)bytes, bytes ? length : 0}};
    if (syscall(SYS_writev, record_fd, parts, 2) < 0) abort();
}

/* Operations are done one after the other, and a disk that is still begins none. */
static void begin(void) {
    pthread_mutex_lock(&lock);
    control->busy = 1;
    if (!control->still) return;
    control->busy = 0;
    for (;;) pause();
}

static void end(void) {
    control->busy = 0;
    pthread_mutex_unlock(&lock);
}

static void die(void) {
    control->busy = 0;
    syscall(SYS_kill, getpid(), SIGKILL);
    for (;;) pause();
}

/* What is to happen to this operation. */
static int action(int operation, int file) {
    if (!(control->operations & (uint64_t)operation) || !(control->files & (1u << file)))
        return ACT_NONE;
    control->seen++;
    if (!control->action) return ACT_NONE;
    if (control->skip) {
        control->skip--;
        return ACT_NONE;
    }
    if (!control->count) return ACT_NONE;
    control->count--;
    control->hit++;
    return (int)control->action;
}

/* Whether an operation that is done whole or not at all is done. `errno` is set if not. */
static int proceeds(int act) {
    if (act == ACT_FAIL) {
        errno = (int)control->error;
        return 0;
    }
    if (act == ACT_DIE_BEFORE || act == ACT_DIE_WITHIN) die();
    return 1;
}

#define REAL(result, name, ...)                                       \
    static result (*real)(__VA_ARGS__);                               \
    if (!real) real = (result(*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name)

static ssize_t changed(int fd, const void *bytes, size_t length, off_t offset) {
    ssize_t written = syscall(SYS_pwrite64, fd, bytes, length, offset);
    if (written > 0) record('W', kind_of_fd(fd), (uint64_t)offset, bytes, (uint64_t)written);
    return written;
}

/* A write to one of our files, under the lock. */
static ssize_t write_at(int fd, const void *bytes, size_t length, off_t offset) {
    int file = kind_of_fd(fd);
    int act = action(OP_WRITE, file);
    if (act == ACT_FAIL) {
        errno = (int)control->error;
        return -1;
    }
    if (act == ACT_DIE_BEFORE) die();
    if (act == ACT_DIE_WITHIN) {
        changed(fd, bytes, length / 2, offset);
        die();
    }
    if (act == ACT_SHORT && length > 1) length /= 2;
    if (control->space >= 0) {
        struct stat found;
        if (fstat(fd, &found)) return -1;
        int64_t more = (int64_t)offset + (int64_t)length - found.st_size;
        if (more > control->space) {
            int64_t fits = (int64_t)length - (more - control->space);
            /* In pages, as file systems do it. */
            int64_t kept = fits > 0 ? ((int64_t)offset + fits) / 4096 * 4096 - (int64_t)offset : 0;
            if (kept <= 0) {
                control->full++;
                errno = ENOSPC;
                return -1;
            }
            length = (size_t)kept;
            more = (int64_t)offset + kept - found.st_size;
        }
        if (more > 0) control->space -= more;
    }
    ssize_t written = changed(fd, bytes, length, offset);
    if (act == ACT_DIE_AFTER) die();
    return written;
}

ssize_t write(int fd, const void *bytes, size_t length) {
    if (kind_of_fd(fd) == FILE_NONE) return syscall(SYS_write, fd, bytes, length);
    begin();
    off_t offset = lseek(fd, 0, SEEK_CUR);
    ssize_t written = write_at(fd, bytes, length, offset);
    if (written > 0) lseek(fd, offset + written, SEEK_SET);
    end();
    return written;
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t offset) {
    if (kind_of_fd(fd) == FILE_NONE) return syscall(SYS_pwrite64, fd, bytes, length, offset);
    begin();
    ssize_t written = write_at(fd, bytes, length, offset);
    end();
    return written;
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset) {
    return pwrite64(fd, bytes, length, offset);
}

static int read_fails(int fd) {
    int file = kind_of_fd(fd);
    if (file == FILE_NONE) return 0;
    begin();
    int act = action(OP_READ, file);
    end();
    if (act != ACT_FAIL) return 0;
    errno = (int)control->error;
    return 1;
}

ssize_t read(int fd, void *bytes, size_t length) {
    return read_fails(fd) ? -1 : syscall(SYS_read, fd, bytes, length);
}

ssize_t pread64(int fd, void *bytes, size_t length, off64_t offset) {
    return read_fails(fd) ? -1 : syscall(SYS_pread64, fd, bytes, length, offset);
}

ssize_t pread(int fd, void *bytes, size_t length, off_t offset) {
    return pread64(fd, bytes, length, offset);
}

static int synced(int fd, long number) {
    int file = kind_of_fd(fd);
    if (file == FILE_NONE) return (int)syscall(number, fd);
    begin();
    int act = action(OP_SYNC, file), result = -1;
    if (!proceeds(act)) {
        /* As Linux does it: what was to be written counts as written, and will not be tried again. */
        record('E', file, 0, 0, 0);
    } else {
        result = 0;
        if (control->real_sync) result = (int)syscall(number, fd);
        if (!result) record('S', file, 0, 0, 0);
        if (act == ACT_DIE_AFTER) die();
    }
    end();
    return result;
}

int fsync(int fd) { return synced(fd, SYS_fsync); }
int fdatasync(int fd) { return synced(fd, SYS_fdatasync); }

int ftruncate64(int fd, off64_t length) {
    int file = kind_of_fd(fd);
    if (file == FILE_NONE) return (int)syscall(SYS_ftruncate, fd, length);
    begin();
    int act = action(OP_TRUNCATE, file), result = -1;
    if (proceeds(act)) {
        struct stat found;
        if (control->space >= 0 && !fstat(fd, &found) && found.st_size > length)
            control->space += found.st_size - length;
        result = (int)syscall(SYS_ftruncate, fd, length);
        if (!result) record('T', file, (uint64_t)length, 0, 0);
        if (act == ACT_DIE_AFTER) die();
    }
    end();
    return result;
}

int ftruncate(int fd, off_t length) { return ftruncate64(fd, length); }

int unlink(const char *path) {
    int file = kind(path);
    if (file == FILE_NONE) return (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
    begin();
    int act = action(OP_UNLINK, file), result = -1;
    if (proceeds(act)) {
        struct stat found;
        if (control->space >= 0 && !stat(path, &found)) control->space += found.st_size;
        result = (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
        if (!result) record('U', file, 0, 0, 0);
        if (act == ACT_DIE_AFTER) die();
    }
    end();
    return result;
}

/* One of our files for another; a file that had the name is gone. */
int rename(const char *from, const char *to) {
    int file = kind(to);
    if (file == FILE_NONE) return (int)syscall(SYS_renameat, AT_FDCWD, from, AT_FDCWD, to);
    begin();
    int act = action(OP_UNLINK, file), result = -1;
    if (proceeds(act)) {
        result = (int)syscall(SYS_renameat, AT_FDCWD, from, AT_FDCWD, to);
        if (!result) record('N', file, (uint64_t)kind(from), 0, 0);
        if (act == ACT_DIE_AFTER) die();
    }
    end();
    return result;
}

static int opened(const char *path, int flags, mode_t mode) {
    int file = kind(path);
    if (file == FILE_NONE) {
        int fd = (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
        if (fd >= 0 && fd < FDS) file_of[fd] = 0;
        return fd;
    }
    begin();
    int act = action(OP_OPEN, file), fd = -1;
    if (proceeds(act)) {
        struct stat found;
        int is_new = (flags & O_CREAT) && stat(path, &found);
        fd = (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
        if (fd >= 0 && is_new) record('C', file, 0, 0, 0);
        if (fd >= 0 && !is_new && (flags & O_TRUNC)) record('T', file, 0, 0, 0);
        if (fd >= FDS) abort();
        if (fd >= 0) file_of[fd] = (unsigned char)(file + 1);
        if (act == ACT_DIE_AFTER) die();
    }
    end();
    return fd;
}

int open64(const char *path, int flags, ...) {
    mode_t mode = 0;
    if (flags & (O_CREAT | O_TMPFILE)) {
        va_list rest;
        va_start(rest, flags);
        mode = va_arg(rest, mode_t);
        va_end(rest);
    }
    return opened(path, flags, mode);
}

int open(const char *path, int flags, ...) {
    mode_t mode = 0;
    if (flags & (O_CREAT | O_TMPFILE)) {
        va_list rest;
        va_start(rest, flags);
        mode = va_arg(rest, mode_t);
        va_end(rest);
    }
    return opened(path, flags, mode);
}

int close(int fd) {
    if (fd >= 0 && fd < FDS) file_of[fd] = 0;
    REAL(int, close, int);
    return real(fd);
}
