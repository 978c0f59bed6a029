// SPDX-License-Identifier: Apache-2.0

#ifndef LGUEST_CLEANER_H
#define LGUEST_CLEANER_H

/// Starts a process that removes the file at `path` once the returned descriptor is closed, by us or by our
/// end. Its process number goes to `process`. A negative errno value when it cannot be started.
int lguest_cleaner_start(const char *path, int *process);

/// Has the file removed now, and waits for it.
void lguest_cleaner_end(int descriptor, int process);

#endif
