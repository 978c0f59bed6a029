// SPDX-License-Identifier: Apache-2.0
//
// System calls of the launcher whose C functions Swift cannot call: those with a variable number of arguments,
// and those that the C library declares only for GNU sources.

#ifndef LGUEST_LAUNCHER_H
#define LGUEST_LAUNCHER_H

#include <stddef.h>

/// The name that `ps` shows; the host keeps its first 15 bytes.
void lguest_set_process_name(const char *name);

/// A new pseudo-terminal: returns our end, non-blocking, and puts the other end's path of at most `size`
/// bytes with its zero byte into `name`. A negative errno value when there is none.
int lguest_open_pseudo_terminal(char *name, size_t size);

#endif
