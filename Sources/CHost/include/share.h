// SPDX-License-Identifier: Apache-2.0
//
// System calls for sharing a folder that Swift cannot name: variadic ones, and those newer than the C library.
#ifndef LGUEST_SHARE_H
#define LGUEST_SHARE_H

#include <stdint.h>
#include <sys/stat.h>

/// Opens `path` below the folder `root` without leaving it and without following any symbolic link; "" is the folder
/// itself. A descriptor, or the negative of errno.
int lguest_open_beneath(int root, const char *path, int flags, uint32_t mode);

/// The same file again with other flags, from a descriptor that may be O_PATH.
int lguest_reopen(int fd, int flags);

/// Facts about the file behind a descriptor, O_PATH ones included.
int lguest_stat(int fd, struct stat *facts);

/// Operations on the file behind an O_PATH descriptor. 0 or the negative of errno.
int lguest_change_mode(int fd, uint32_t mode);
int lguest_change_owner(int fd, uint32_t user, uint32_t group);
int lguest_change_times(int fd, const struct timespec times[2]);
int lguest_link(int fd, int folder, const char *name);

#endif
