/* Kills the process before the n-th file operation of an insert. Loaded into the server with LD_PRELOAD.

   CRASH_POINTS names a control file. While it exists:
       its first line    n; 0 lets everything happen
       its other lines   folders of tables
   Counted are the operations of threads that write a part of these tables (they began with the folder tmp_insert_...), on paths
   below these folders. Each is a line of <control file>.trace, written before it happens: the n-th never does.

   An insert of the engine makes folders and files, writes, appends to the deduplication log and renames (seen with strace). The
   others are here so that another version's habits are counted too; none of them may go past the library unseen. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { FOLDERS = 16, PATH = 4096 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char folders[FOLDERS][PATH];
static int folder_count, armings;
static struct stat seen;
static long at, happened;
static FILE *trace;
static __thread int inserting; /* in which arming this thread began to write a part */

/* Read the control file when it is there and not the one that was read last. The lock is held. */
static int is_armed(void) {
    const char *control = getenv("CRASH_POINTS");
    struct stat now;
    if (!control || stat(control, &now)) return 0;
    if (now.st_ino == seen.st_ino && !memcmp(&now.st_mtim, &seen.st_mtim, sizeof now.st_mtim)) return 1;
    char name[PATH];
    FILE *file = fopen(control, "r");
    if (!file) return 0;
    snprintf(name, sizeof name, "%s.trace", control);
    if (trace) fclose(trace);
    trace = fopen(name, "w");
    happened = folder_count = 0;
    if (!trace || fscanf(file, "%ld\n", &at) != 1) abort();
    while (folder_count < FOLDERS && fgets(folders[folder_count], PATH, file))
        folders[folder_count][strcspn(folders[folder_count], "\n")] = 0, folder_count++;
    fclose(file);
    seen = now;
    armings++;
    return 1;
}

static void before(const char *operation, const char *path) {
    if (!path || *path != '/') return;
    pthread_mutex_lock(&lock);
    for (int i = 0; is_armed() && i < folder_count; i++) {
        if (strncmp(path, folders[i], strlen(folders[i]))) continue;
        if (!strcmp(operation, "mkdir") && strstr(path, "/tmp_insert_")) inserting = armings;
        if (inserting != armings) break;
        fprintf(trace, "%s %s\n", operation, path);
        fflush(trace);
        if (++happened == at) {
            kill(getpid(), SIGKILL);
            for (;;) pause();
        }
        break;
    }
    pthread_mutex_unlock(&lock);
}

static void before_fd(const char *operation, int fd) {
    char link[64], path[PATH];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length > 0) path[length] = 0, before(operation, path);
}

#define REAL(name)                        \
    static __typeof__(name) *real;        \
    if (!real) real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

#define OPEN(name, parameters, ...)                                             \
    int name parameters {                                                       \
        REAL(name);                                                             \
        mode_t mode = 0;                                                        \
        if (flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE) {                                    \
            va_list rest;                                                       \
            va_start(rest, flags);                                              \
            mode = va_arg(rest, mode_t);                                        \
            va_end(rest);                                                       \
        }                                                                       \
        if (flags & (O_WRONLY | O_RDWR | O_CREAT)) before("open", path);        \
        return real(__VA_ARGS__, flags, mode);                                  \
    }
OPEN(open, (const char *path, int flags, ...), path)
OPEN(open64, (const char *path, int flags, ...), path)
OPEN(openat, (int folder, const char *path, int flags, ...), folder, path)
OPEN(openat64, (int folder, const char *path, int flags, ...), folder, path)

/* The engine is opened so that libc comes before everything preloaded: it would never be seen here. */
void *dlopen(const char *path, int flags) {
    REAL(dlopen);
    return real(path, flags & ~RTLD_DEEPBIND);
}

#define ON_PATH(type, name, what, parameters, ...) \
    type name parameters { REAL(name); before(what, path); return real(__VA_ARGS__); }
ON_PATH(int, creat, "open", (const char *path, mode_t mode), path, mode)
ON_PATH(int, mkdir, "mkdir", (const char *path, mode_t mode), path, mode)
ON_PATH(int, rmdir, "remove", (const char *path), path)
ON_PATH(int, remove, "remove", (const char *path), path)
ON_PATH(int, unlink, "remove", (const char *path), path)
ON_PATH(int, unlinkat, "remove", (int folder, const char *path, int flags), folder, path, flags)
ON_PATH(int, rename, "rename", (const char *path, const char *to), path, to)
ON_PATH(int, renameat, "rename", (int a, const char *path, int b, const char *to), a, path, b, to)
ON_PATH(int, renameat2, "rename", (int a, const char *path, int b, const char *to, unsigned flags), a, path, b, to, flags)
ON_PATH(int, link, "link", (const char *path, const char *to), path, to)
ON_PATH(int, linkat, "link", (int a, const char *path, int b, const char *to, int flags), a, path, b, to, flags)

#define ON_FD(type, name, what, parameters, ...) \
    type name parameters { REAL(name); before_fd(what, fd); return real(__VA_ARGS__); }
ON_FD(ssize_t, write, "write", (int fd, const void *bytes, size_t size), fd, bytes, size)
ON_FD(ssize_t, pwrite, "write", (int fd, const void *bytes, size_t size, off_t where), fd, bytes, size, where)
ON_FD(ssize_t, pwrite64, "write", (int fd, const void *bytes, size_t size, off64_t where), fd, bytes, size, where)
ON_FD(ssize_t, writev, "write", (int fd, const struct iovec *pieces, int count), fd, pieces, count)
ON_FD(int, ftruncate, "truncate", (int fd, off_t size), fd, size)
ON_FD(int, ftruncate64, "truncate", (int fd, off64_t size), fd, size)
ON_FD(int, fsync, "fsync", (int fd), fd)
ON_FD(int, fdatasync, "fsync", (int fd), fd)
