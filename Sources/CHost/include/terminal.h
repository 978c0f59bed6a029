// SPDX-License-Identifier: Apache-2.0
//
// The host's terminal in raw mode, and the promise that it is put back on every way out. C, because
// signal handlers must not run Swift code.

#ifndef LGUEST_TERMINAL_H
#define LGUEST_TERMINAL_H

#include <poll.h>
#include <stdint.h>

/// Puts the terminal `fd` into raw mode (ISIG, ICANON and ECHO off, the rest unchanged) and sees to it that
/// it is put back by `lguest_terminal_leave`, by exit(), and by signals that end or stop the process.
/// When the process is in the background, raw mode begins when it comes to the foreground.
/// Adds one to the event counter `event_fd` (or none: -1) when the process was continued.
/// One terminal at a time. Returns 0, or an errno value.
int lguest_terminal_enter(int fd, int event_fd);

/// Puts the terminal and the signal handlers back. Harmless when there is nothing to do.
void lguest_terminal_leave(void);

/// Enters raw mode after all, if that was put off because of the background and no longer is.
void lguest_terminal_retry(void);

/// Lets output go on that was stopped with Ctrl-S, as a Ctrl-C would have done without raw mode: what is
/// printed at the end must not hang.
void lguest_terminal_restart_output(void);

/// Whether this process may use `fd` without being stopped by job control: it is the foreground process
/// group of that terminal, or that terminal does not control it at all.
int lguest_terminal_in_foreground(int fd);

/// From now on SIGWINCH adds one to the event counter `event_fd`; -1 ends that.
void lguest_terminal_watch_window(int event_fd);

/// The window size in characters of terminal `fd`. Returns 0, or an errno value.
int lguest_terminal_window_size(int fd, uint16_t *columns, uint16_t *rows);

/// Writing to a pipe that nobody reads shall be an error and no longer end the process.
void lguest_ignore_sigpipe(void);

/// Another open file description of `fd`'s file for writing, not blocking, so that `fd` and whoever
/// shares it keep blocking. Returns the descriptor, or a negative errno value.
int lguest_reopen_nonblocking(int fd);

/// A new event counter, not blocking, closed on exec. Returns the descriptor, or a negative errno value.
int lguest_event_create(void);

/// Adds one to an event counter; safe in signal handlers.
void lguest_event_signal(int fd);

/// poll(2) with a limit in nanoseconds, negative for none. Returns what poll does.
int lguest_poll(struct pollfd *list, uint32_t count, int64_t nanoseconds);

#endif
