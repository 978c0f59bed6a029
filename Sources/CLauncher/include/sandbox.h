// SPDX-License-Identifier: Apache-2.0
//
// The parts of the sandbox that must be C. Functions return 0, or a negative errno value.

#ifndef LGUEST_SANDBOX_H
#define LGUEST_SANDBOX_H

/// System calls have lower numbers than this.
#define LGUEST_CALL_NAMES 600

/// Gives up all capabilities of this thread, for ever.
int lguest_drop_capabilities(void);

/// From now on no program that we start gets more rights than we have (no_new_privs).
int lguest_forbid_new_privileges(void);

/// The name of a system call, for the line that says it was refused.
void lguest_sandbox_name(int number, const char *name);

/// Opens `path` now, so that code which opens or looks at this very path later gets this file although those
/// calls are refused. Returns the descriptor, or a negative number when there is no such file.
int lguest_sandbox_serve(const char *path);

/// A refused call fails with EPERM and is named on standard error, each kind once.
int lguest_sandbox_handle_refusals(void);

/// Remembers a folder, by descriptor, in which this process will still open files; read-only ones not for writing.
void lguest_sandbox_keep_folder(int folder, int is_read_only);

/// Forbids this thread, and those that it makes, to open any file by name outside the folders remembered (Landlock, Linux
/// 5.19). 0 or the negative of errno.
int lguest_sandbox_keep_to_folders(void);

#endif
