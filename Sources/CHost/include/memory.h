// SPDX-License-Identifier: Apache-2.0
//
// Memory that can be mapped more than once.

#ifndef LGUEST_MEMORY_H
#define LGUEST_MEMORY_H

#include <stddef.h>

/// A descriptor of `bytes` of sparse, zero-filled memory that closes on exec, or -1 with errno set. `name` shows
/// up in /proc/PID/maps.
int lguest_memory_file(const char *name, size_t bytes);

/// `bytes` of demand-zero memory of its own, page-aligned; NULL where the host denies it.
void *lguest_zero_pages(size_t bytes);
void lguest_zero_pages_release(void *pages, size_t bytes);

#endif
