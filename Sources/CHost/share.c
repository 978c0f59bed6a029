// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "share.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_openat2
#define SYS_openat2 437
#endif
#define BENEATH 0x08
#define NO_SYMLINKS 0x04
#define NO_MAGIC_LINKS 0x02

struct how {
    uint64_t flags, mode, resolve;
};

// One component after the other, for hosts without openat2: no component may be a link or "..".
static int open_by_steps(int root, const char *path, int flags, uint32_t mode) {
    int folder = fcntl(root, F_DUPFD_CLOEXEC, 0);
    while (folder >= 0) {
        const char *slash = strchr(path, '/');
        size_t length = slash ? (size_t)(slash - path) : strlen(path);
        char name[256];
        if (length >= sizeof name) {
            close(folder);
            return -ENAMETOOLONG;
        }
        memcpy(name, path, length);
        name[length] = 0;
        if (strcmp(name, "..") == 0) {
            close(folder);
            return -EXDEV;
        }
        int next = slash ? openat(folder, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
                         : openat(folder, length ? name : ".", flags | O_NOFOLLOW | O_CLOEXEC, mode);
        int reason = errno;
        close(folder);
        if (next < 0) return -reason;
        if (!slash) return next;
        folder = next;
        path = slash + 1;
    }
    return -errno;
}

int lguest_open_beneath(int root, const char *path, int flags, uint32_t mode) {
    static int is_missing;
    if (!is_missing) {
        struct how how = {(uint64_t)(uint32_t)(flags | O_NOFOLLOW | O_CLOEXEC),
                          flags & O_CREAT ? mode : 0, BENEATH | NO_SYMLINKS | NO_MAGIC_LINKS};
        // A link as the last component is opened as itself with O_PATH, which NO_SYMLINKS allows.
        long result = syscall(SYS_openat2, root, *path ? path : ".", &how, sizeof how);
        if (result >= 0) return (int)result;
        if (errno != ENOSYS && errno != EPERM) return -errno;
        if (errno == ENOSYS) is_missing = 1;
    }
    return open_by_steps(root, path, flags, mode);
}

static void name_of(int fd, char *name, size_t size) { snprintf(name, size, "/proc/self/fd/%d", fd); }

int lguest_reopen(int fd, int flags) {
    char name[40];
    name_of(fd, name, sizeof name);
    // The one call for opening that the sandbox leaves; older hosts have none, and no sandbox for shares.
    struct how how = {(uint64_t)(uint32_t)(flags | O_CLOEXEC), 0, 0};
    long result = syscall(SYS_openat2, AT_FDCWD, name, &how, sizeof how);
    if (result < 0 && errno == ENOSYS) result = open(name, flags | O_CLOEXEC);
    return result >= 0 ? (int)result : -errno;
}

int lguest_stat(int fd, struct stat *facts) { return fstat(fd, facts) == 0 ? 0 : -errno; }

int lguest_change_mode(int fd, uint32_t mode) {
    char name[40];
    name_of(fd, name, sizeof name);
    return chmod(name, mode) == 0 ? 0 : -errno;
}

int lguest_change_owner(int fd, uint32_t user, uint32_t group) {
    return fchownat(fd, "", user, group, AT_EMPTY_PATH) == 0 ? 0 : -errno;
}

int lguest_change_times(int fd, const struct timespec times[2]) {
    char name[40];
    name_of(fd, name, sizeof name);
    return utimensat(AT_FDCWD, name, times, 0) == 0 ? 0 : -errno;
}

int lguest_link(int fd, int folder, const char *name) {
    char path[40];
    name_of(fd, path, sizeof path);
    return linkat(AT_FDCWD, path, folder, name, AT_SYMLINK_FOLLOW) == 0 ? 0 : -errno;
}
