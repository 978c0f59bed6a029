// SPDX-License-Identifier: Apache-2.0

#ifndef LGUEST_PROBES_H
#define LGUEST_PROBES_H

/// Runs `body` in a child process. Its result (0 to 255), or a negative errno value when there was no child or it
/// was killed.
int lguest_in_child(int (*body)(void));

/// Tries to make a user namespace, in a child: 0, or the errno value.
int lguest_probe_user_namespace(void);

/// A file in memory: its descriptor, or a negative errno value.
int lguest_probe_memfd(void);

/// Writes a function into the file `fd`, maps it executable and calls it: 0, or the errno value.
int lguest_probe_code(int fd);

#endif
