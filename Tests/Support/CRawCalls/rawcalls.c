// SPDX-License-Identifier: Apache-2.0
//
// What Swift does not let one call.

#define _GNU_SOURCE
#include "rawcalls.h"

#include <errno.h>
#include <unistd.h>

long raw_call(long number, long a, long b, long c, long d, long e, long f) {
    long result = syscall(number, a, b, c, d, e, f);
    return result == -1 ? -errno : result;
}

int raw_exec(char *const arguments[]) {
    execvp(arguments[0], arguments);
    return errno;
}
