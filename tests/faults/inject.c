/* Faults of system calls on files below one directory, for tests (LD_PRELOAD, Linux with glibc).
 *
 * A process arms it by inject_arm() with a plan in memory that it shares with its parent, which
 * reads there how many calls there were of each kind, and how many of them met the fault.
 * forked.py has the same structure and the same order of calls and actions.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum call { OPEN, WRITE, READ, CLOSE, RENAME, LINK, UNLINK, MKDIR, FLOCK, STAT, LIST, CALLS };
enum action { NOTHING, FAIL, FAIL_AFTER, SHORTEN, KILL_BEFORE, KILL_AFTER };

struct plan {
    int call, action, error;
    int lasting; /* whether later calls of the kind fail, too */
    long number; /* of the call that meets the fault, from 0 */
    long fired;
    long counts[CALLS];
};

static struct plan *plan;
static char root[PATH_MAX];
static char opened[1 << 16]; /* by descriptor: whether its file is below the root */

void inject_arm(const char *directory, struct plan *shared) {
    snprintf(root, sizeof root, "%s", directory);
    plan = shared;
}

static int below(const char *path) {
    size_t length = strlen(root);
    return plan && !strncmp(path, root, length) && (!path[length] || path[length] == '/');
}

static int ours(int file) {
    return plan && file >= 0 && file < (int)sizeof opened && opened[file];
}

static int below_at(int folder, const char *path) {
    return *path == '/' || folder == AT_FDCWD ? below(path) : ours(folder);
}

static void mark(int file, int is_below) {
    if (plan && file >= 0 && file < (int)sizeof opened)
        opened[file] = (char)is_below;
}

/* Count a call, and return the action that is due before or after it. */
static enum action due(enum call call, int counts) {
    if (!counts)
        return NOTHING;
    long number = __atomic_fetch_add(&plan->counts[call], 1, __ATOMIC_SEQ_CST);
    int chosen = plan->lasting ? number >= plan->number : number == plan->number;
    if ((int)call != plan->call || plan->action == NOTHING || !chosen)
        return NOTHING;
    __atomic_fetch_add(&plan->fired, 1, __ATOMIC_SEQ_CST);
    if (plan->action == KILL_BEFORE)
        kill(getpid(), SIGKILL);
    return (enum action)plan->action;
}

/* Return whether a call that was made is to be reported as failed. */
static int spoilt(enum action action) {
    if (action == KILL_AFTER)
        kill(getpid(), SIGKILL);
    if (action == FAIL_AFTER)
        errno = plan->error;
    return action == FAIL_AFTER;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

/* The body of a function that makes a call, or fails. */
#define FAULTY(call, counts, type, failure, made)                                                  \
    enum action action = due(call, counts);                                                        \
    if (action == FAIL) {                                                                          \
        errno = plan->error;                                                                       \
        return failure;                                                                            \
    }                                                                                              \
    type result = made;                                                                            \
    return spoilt(action) ? failure : result

#define MODE(mode)                                                                                 \
    mode_t mode = 0;                                                                               \
    if (flags & (O_CREAT | O_TMPFILE)) {                                                           \
        va_list rest;                                                                              \
        va_start(rest, flags);                                                                     \
        mode = va_arg(rest, mode_t);                                                               \
        va_end(rest);                                                                              \
    }

static int marked(int file, int is_below) {
    mark(file, is_below);
    return file;
}

#define OPENING(name)                                                                              \
    int name(const char *path, int flags, ...) {                                                   \
        MODE(mode)                                                                                 \
        int found = below(path);                                                                   \
        FAULTY(OPEN, found, int, -1, marked(REAL(name)(path, flags, mode), found));                \
    }
OPENING(open)
OPENING(open64)

#define OPENING_AT(name)                                                                           \
    int name(int folder, const char *path, int flags, ...) {                                       \
        MODE(mode)                                                                                 \
        int found = below_at(folder, path);                                                        \
        FAULTY(OPEN, found, int, -1, marked(REAL(name)(folder, path, flags, mode), found));        \
    }
OPENING_AT(openat)
OPENING_AT(openat64)

/* The descriptor is closed even if an error is reported, as on Linux. */
int close(int file) {
    enum action action = due(CLOSE, ours(file));
    mark(file, 0);
    int result = REAL(close)(file);
    if (action == FAIL)
        errno = plan->error;
    return spoilt(action) || action == FAIL ? -1 : result;
}

#define SHORTENED(size) (action == SHORTEN && (size) > 1 ? (size) / 2 : (size))

ssize_t write(int file, const void *bytes, size_t size) {
    FAULTY(WRITE, ours(file), ssize_t, -1, REAL(write)(file, bytes, SHORTENED(size)));
}

#define WRITING_AT(name, offset)                                                                   \
    ssize_t name(int file, const void *bytes, size_t size, offset from) {                          \
        FAULTY(WRITE, ours(file), ssize_t, -1, REAL(name)(file, bytes, SHORTENED(size), from));    \
    }
WRITING_AT(pwrite, off_t)
WRITING_AT(pwrite64, off64_t)

ssize_t read(int file, void *bytes, size_t size) {
    FAULTY(READ, ours(file), ssize_t, -1, REAL(read)(file, bytes, SHORTENED(size)));
}

#define READING_AT(name, offset)                                                                   \
    ssize_t name(int file, void *bytes, size_t size, offset from) {                                \
        FAULTY(READ, ours(file), ssize_t, -1, REAL(name)(file, bytes, SHORTENED(size), from));     \
    }
READING_AT(pread, off_t)
READING_AT(pread64, off64_t)

int rename(const char *from, const char *to) {
    FAULTY(RENAME, below(to), int, -1, REAL(rename)(from, to));
}

int renameat(int source, const char *from, int target, const char *to) {
    FAULTY(RENAME, below_at(target, to), int, -1, REAL(renameat)(source, from, target, to));
}

int link(const char *from, const char *to) {
    FAULTY(LINK, below(to), int, -1, REAL(link)(from, to));
}

int linkat(int source, const char *from, int target, const char *to, int flags) {
    FAULTY(LINK, below_at(target, to), int, -1, REAL(linkat)(source, from, target, to, flags));
}

int unlink(const char *path) {
    FAULTY(UNLINK, below(path), int, -1, REAL(unlink)(path));
}

int unlinkat(int folder, const char *path, int flags) {
    FAULTY(UNLINK, below_at(folder, path), int, -1, REAL(unlinkat)(folder, path, flags));
}

int mkdir(const char *path, mode_t mode) {
    FAULTY(MKDIR, below(path), int, -1, REAL(mkdir)(path, mode));
}

int mkdirat(int folder, const char *path, mode_t mode) {
    FAULTY(MKDIR, below_at(folder, path), int, -1, REAL(mkdirat)(folder, path, mode));
}

int flock(int file, int operation) {
    FAULTY(FLOCK, ours(file), int, -1, REAL(flock)(file, operation));
}

#define STATUS(name, type)                                                                         \
    int name(const char *path, type *status) {                                                     \
        FAULTY(STAT, below(path), int, -1, REAL(name)(path, status));                              \
    }
STATUS(stat, struct stat)
STATUS(stat64, struct stat64)
STATUS(lstat, struct stat)
STATUS(lstat64, struct stat64)

#define STATUS_OF_FILE(name, type)                                                                 \
    int name(int file, type *status) {                                                             \
        FAULTY(STAT, ours(file), int, -1, REAL(name)(file, status));                               \
    }
STATUS_OF_FILE(fstat, struct stat)
STATUS_OF_FILE(fstat64, struct stat64)

#define STATUS_AT(name, type)                                                                      \
    int name(int folder, const char *path, type *status, int flags) {                              \
        FAULTY(STAT, below_at(folder, path), int, -1, REAL(name)(folder, path, status, flags));    \
    }
STATUS_AT(fstatat, struct stat)
STATUS_AT(fstatat64, struct stat64)

DIR *opendir(const char *path) {
    int found = below(path);
    enum action action = due(LIST, found);
    if (action == FAIL) {
        errno = plan->error;
        return NULL;
    }
    DIR *folder = REAL(opendir)(path);
    if (folder)
        mark(dirfd(folder), found);
    spoilt(action);
    return folder;
}

#define LISTING(name, type)                                                                        \
    type *name(DIR *folder) {                                                                      \
        FAULTY(LIST, ours(dirfd(folder)), type *, NULL, REAL(name)(folder));                       \
    }
LISTING(readdir, struct dirent)
LISTING(readdir64, struct dirent64)

int closedir(DIR *folder) {
    mark(dirfd(folder), 0);
    return REAL(closedir)(folder);
}
