// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#ifndef RWF_NOWAIT
#define RWF_NOWAIT 8
#endif

int64_t lguest_file_read(int fd, const struct iovec *list, int count, int64_t offset, int nowait) {
    for (;;) {
        ssize_t result = nowait ? preadv2(fd, list, count, offset, RWF_NOWAIT)
                                : preadv(fd, list, count, offset);
        if (result >= 0) return result;
        if (errno == ENOSYS) return -EOPNOTSUPP;
        if (errno != EINTR) return -errno;
    }
}

int64_t lguest_file_write(int fd, const struct iovec *list, int count, int64_t offset) {
    for (;;) {
        ssize_t result = pwritev(fd, list, count, offset);
        if (result >= 0) return result;
        if (errno != EINTR) return -errno;
    }
}

int lguest_file_sync(int fd) {
    for (;;) {
        if (fdatasync(fd) == 0) return 0;
        if (errno != EINTR) return -errno;
    }
}

int lguest_file_zero(int fd, int64_t offset, int64_t length, int punch) {
    int mode = FALLOC_FL_KEEP_SIZE | (punch ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE);
    for (;;) {
        if (fallocate(fd, mode, offset, length) == 0) return 0;
        if (errno != EINTR) return -errno;
    }
}

int lguest_file_lock(int fd, int exclusive) {
    return flock(fd, (exclusive ? LOCK_EX : LOCK_SH) | LOCK_NB) == 0 ? 0 : -errno;
}

void lguest_file_unlock(int fd) {
    flock(fd, LOCK_UN);
}

int lguest_file_temporary(char *path) {
    return mkostemp(path, O_CLOEXEC);
}

void lguest_ignore_file_size_signal(void) {
    signal(SIGXFSZ, SIG_IGN);
}

int lguest_random(void *bytes, uint64_t count) {
    unsigned char *next = bytes;
    while (count > 0) {
        ssize_t result = getrandom(next, count, 0);
        if (result < 0 && errno == EINTR) continue;
        if (result <= 0) return result < 0 ? -errno : -EIO;
        next += result;
        count -= (uint64_t)result;
    }
    return 0;
}

int lguest_memory_discard(void *address, uint64_t length) {
    // Of a file in memory, its pages; of anonymous memory, the mapped ones.
    if (madvise(address, length, MADV_REMOVE) == 0) return 0;
    return madvise(address, length, MADV_DONTNEED) == 0 ? 0 : -errno;
}
