// SPDX-License-Identifier: Apache-2.0

#ifndef LGUEST_RAW_CALLS_H
#define LGUEST_RAW_CALLS_H

/// A system call by its number. What it returns, or the negative of errno.
long raw_call(long number, long a, long b, long c, long d, long e, long f);

/// Becomes the program `arguments[0]`, found in PATH; returns errno when that fails.
int raw_exec(char *const arguments[]);

#endif
