// SPDX-License-Identifier: Apache-2.0
//
// System calls on files for which Swift's view of the C library has no name, or whose results would
// have to be fetched from errno. All return a negative errno value when they fail.

#ifndef LGUEST_FILES_H
#define LGUEST_FILES_H

#include <stdint.h>
#include <sys/uio.h>

/// preadv(2), tried again when interrupted. With `nowait` it gives -EAGAIN in place of waiting for the disk,
/// and -EOPNOTSUPP where the file system cannot tell. Returns the number of bytes, which may be short.
int64_t lguest_file_read(int fd, const struct iovec *list, int count, int64_t offset, int nowait);

/// pwritev(2), tried again when interrupted. Returns the number of bytes, which may be short.
int64_t lguest_file_write(int fd, const struct iovec *list, int count, int64_t offset);

/// fdatasync(2), tried again when interrupted.
int lguest_file_sync(int fd);

/// Makes a range read as zeros; with `punch` it also gives the space back where it can.
int lguest_file_zero(int fd, int64_t offset, int64_t length, int punch);

/// An exclusive or shared lock on the open file, without waiting: -EWOULDBLOCK when somebody else has it.
int lguest_file_lock(int fd, int exclusive);

/// Gives such a lock up.
void lguest_file_unlock(int fd);

/// mkostemp(3), closed on exec; `path` ends in XXXXXX, which is replaced. Returns the descriptor, or -1 and errno.
int lguest_file_temporary(char *path);

/// A file larger than the process may write shall be an error (EFBIG) and no longer end the process.
void lguest_ignore_file_size_signal(void);

/// Fills `bytes` from the host's random source (getrandom).
int lguest_random(void *bytes, uint64_t count);

/// Gives whole pages of private anonymous memory back: they read as zeros from then on.
int lguest_memory_discard(void *address, uint64_t length);

#endif
