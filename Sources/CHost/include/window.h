// SPDX-License-Identifier: Apache-2.0
//
// Windows: 4 GiB of address space into which the pages of one guest address space are mapped, so that generated code
// reaches them without a look into a table. An access to a page that is not there faults; the handler of
// that signal sends generated code to the piece that was made for this case.

#ifndef LGUEST_WINDOW_H
#define LGUEST_WINDOW_H

#include <stddef.h>
#include <stdint.h>

/// One instruction of generated code that may fault, and where to go on then; offsets from the code's start.
struct lguest_fault_site {
    uint32_t instruction;
    uint32_t target;
};

/// What the signal handler of one thread looks at.
struct lguest_fault_table {
    uintptr_t code;
    size_t code_bytes;
    /// In ascending order of `instruction`.
    const struct lguest_fault_site *sites;
    size_t count;
    /// Faults taken.
    uint64_t faults;
    /// The page below the stack of generated code, and where that stack begins again when it is reached.
    uintptr_t stack_guard;
    uintptr_t stack_base;
};

/// Puts the signal handler in front of those that are there. Whether windows can be used: the host lets programs
/// set the base of GS, and the handler is installed. Safe to call from any thread, any number of times.
int lguest_windows_prepare(void);

/// Makes `table` the one of the calling thread (NULL: none), which gets an alternative signal stack if it has none.
/// Returns 0, or errno.
int lguest_fault_table_use(struct lguest_fault_table *table);

/// A stack of `bytes` (a multiple of 4096) with an inaccessible page below it; returns its lowest usable address, or
/// NULL.
void *lguest_code_stack_map(size_t bytes);
void lguest_code_stack_unmap(void *stack, size_t bytes);

/// Reserves 4 GiB and a page of inaccessible addresses. NULL where the host denies them.
void *lguest_window_reserve(void);
void lguest_window_release(void *window);

/// Reserves the host addresses below 4 GiB (and a little behind), as a window whose base is NULL. Whether they were all
/// free; one caller of a process can have them.
int lguest_direct_reserve(void);
void lguest_direct_release(void);

/// Maps `pages` pages of file `fd` from `offset` on at page number `page`. Returns 0, or errno.
int lguest_window_map(void *window, uint32_t page, size_t pages, int fd, uint64_t offset, int writable);
/// Changes the rights of mapped pages. Returns 0, or errno.
int lguest_window_protect(void *window, uint32_t page, size_t pages, int writable);
/// Makes pages inaccessible again. Returns 0, or errno.
int lguest_window_unmap(void *window, uint32_t page, size_t pages);

#endif
