// SPDX-License-Identifier: Apache-2.0
//
// Raw mode of the host's terminal. The shell that comes after us needs its terminal back whatever
// happens to us, so everything that can end or stop the process passes through here. The functions
// that handlers call use only what POSIX lists as async-signal-safe.

#define _GNU_SOURCE
#include "terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

// Requests to end first, then crashes.
static const int fatal_signals[] = {
    SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGSEGV, SIGABRT, SIGILL, SIGBUS, SIGFPE, SIGTRAP,
};
enum { FATAL_COUNT = sizeof fatal_signals / sizeof fatal_signals[0], REQUEST_COUNT = 4 };

static struct sigaction previous[FATAL_COUNT];
static volatile sig_atomic_t hooked[FATAL_COUNT];
static struct sigaction previous_stop, previous_continue, previous_window;

static struct termios saved_mode, raw_mode;
static volatile sig_atomic_t terminal_fd = -1;
// Whether raw mode is what we want, and whether it is what the terminal has from us.
static volatile sig_atomic_t wanted, is_raw;
static volatile sig_atomic_t continue_event = -1, window_event = -1;
// A forked child that exits must not touch its parent's terminal.
static pid_t owner;

int lguest_terminal_in_foreground(int fd) {
    pid_t group = tcgetpgrp(fd);
    // An error: not the controlling terminal, so job control does not concern us.
    return group < 0 || group == getpgrp();
}

// tcsetattr from the background stops the whole process group, unless SIGTTOU is blocked; between our
// look at the foreground group and the call, things may change.
static int set_mode(const struct termios *mode) {
    sigset_t block, old;
    sigemptyset(&block);
    sigaddset(&block, SIGTTOU);
    pthread_sigmask(SIG_BLOCK, &block, &old);
    int result;
    do {
        result = tcsetattr(terminal_fd, TCSANOW, mode);
    } while (result < 0 && errno == EINTR);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return result;
}

// In the background the terminal is another's, with modes of its own choice.
static void make_raw(void) {
    if (!wanted || terminal_fd < 0) return;
    if (!lguest_terminal_in_foreground(terminal_fd)) {
        is_raw = 0;
    } else {
        // First the note, then the deed: a signal in between restores once too often, which is harmless.
        is_raw = 1;
        set_mode(&raw_mode);
    }
}

static void put_back(void) {
    if (!is_raw || getpid() != owner) return;
    if (lguest_terminal_in_foreground(terminal_fd)) set_mode(&saved_mode);
    is_raw = 0;
}

void lguest_event_signal(int fd) {
    uint64_t one = 1;
    if (fd >= 0 && write(fd, &one, sizeof one) < 0) {
        // Full: it is signalled already.
    }
}

// Restores the terminal, then lets whoever was in charge before us (in general the default action)
// have the signal. It is blocked while we are in here, so that it strikes when we return.
static void on_fatal(int number) {
    int error = errno;
    put_back();
    wanted = 0;
    for (int i = 0; i < FATAL_COUNT; i++) {
        if (fatal_signals[i] == number) sigaction(number, &previous[i], NULL);
    }
    raise(number);
    errno = error;
}

// Somebody stops us: the shell gets its terminal, we stop in here, and go on in here.
static void on_stop(int number) {
    int error = errno;
    put_back();
    struct sigaction stop = {.sa_handler = SIG_DFL}, ours;
    sigaction(number, &stop, &ours);
    raise(number);
    sigset_t unblock, old;
    sigemptyset(&unblock);
    sigaddset(&unblock, number);
    pthread_sigmask(SIG_UNBLOCK, &unblock, &old);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    sigaction(number, &ours, NULL);
    make_raw();
    errno = error;
}

// Also after a SIGSTOP, of which nobody tells us beforehand.
static void on_continue(int number) {
    int error = errno;
    (void)number;
    make_raw();
    lguest_event_signal(continue_event);
    errno = error;
}

static void on_window(int number) {
    int error = errno;
    (void)number;
    lguest_event_signal(window_event);
    errno = error;
}

// A stack overflow leaves no stack for its handler; so this thread gets another one.
static void provide_signal_stack(void) {
    static char space[65536];
    stack_t current;
    if (sigaltstack(NULL, &current) == 0 && (current.ss_flags & SS_DISABLE)) {
        stack_t other = {.ss_sp = space, .ss_size = sizeof space};
        sigaltstack(&other, NULL);
    }
}

static void install_handlers(void) {
    provide_signal_stack();
    struct sigaction action = {.sa_handler = on_fatal, .sa_flags = SA_RESETHAND | SA_ONSTACK};
    sigemptyset(&action.sa_mask);
    for (int i = 0; i < FATAL_COUNT; i++) {
        sigaction(fatal_signals[i], NULL, &previous[i]);
        // Who was started with a request ignored (nohup) stays so.
        if (i < REQUEST_COUNT && previous[i].sa_handler == SIG_IGN) continue;
        hooked[i] = sigaction(fatal_signals[i], &action, NULL) == 0;
    }
    struct sigaction job = {.sa_handler = on_stop, .sa_flags = SA_RESTART};
    sigemptyset(&job.sa_mask);
    sigaction(SIGTSTP, &job, &previous_stop);
    job.sa_handler = on_continue;
    sigaction(SIGCONT, &job, &previous_continue);
}

static void remove_handlers(void) {
    for (int i = 0; i < FATAL_COUNT; i++) {
        struct sigaction current;
        // Somebody may have put a handler of its own above ours: leave that alone.
        if (hooked[i] && sigaction(fatal_signals[i], NULL, &current) == 0 && current.sa_handler == on_fatal)
            sigaction(fatal_signals[i], &previous[i], NULL);
        hooked[i] = 0;
    }
    sigaction(SIGTSTP, &previous_stop, NULL);
    sigaction(SIGCONT, &previous_continue, NULL);
}

static void at_exit(void) {
    put_back();
}

int lguest_terminal_enter(int fd, int event_fd) {
    static int exit_hooked;
    if (terminal_fd >= 0) return EBUSY;
    if (tcgetattr(fd, &saved_mode) < 0) return errno;
    raw_mode = saved_mode;
    raw_mode.c_lflag &= ~(tcflag_t)(ISIG | ICANON | ECHO);
    // Without ICANON these two count: one byte is enough for a read to return.
    raw_mode.c_cc[VMIN] = 1;
    raw_mode.c_cc[VTIME] = 0;
    if (!exit_hooked && atexit(at_exit) != 0) return ENOMEM;
    exit_hooked = 1;
    owner = getpid();
    continue_event = event_fd;
    terminal_fd = fd;
    wanted = 1;
    install_handlers();
    make_raw();
    return 0;
}

void lguest_terminal_leave(void) {
    if (terminal_fd < 0 || getpid() != owner) return;
    wanted = 0;
    put_back();
    remove_handlers();
    continue_event = -1;
    terminal_fd = -1;
}

void lguest_terminal_retry(void) {
    if (!is_raw) make_raw();
}

void lguest_terminal_restart_output(void) {
    if (!is_raw) return;
    // The terminal driver starts output when flow control is turned off.
    struct termios flowing = raw_mode;
    flowing.c_iflag &= ~(tcflag_t)IXON;
    set_mode(&flowing);
    set_mode(&raw_mode);
}

void lguest_terminal_watch_window(int event_fd) {
    int watching = window_event >= 0;
    if (event_fd >= 0) {
        window_event = event_fd;
        struct sigaction action = {.sa_handler = on_window, .sa_flags = SA_RESTART};
        sigemptyset(&action.sa_mask);
        if (!watching) sigaction(SIGWINCH, &action, &previous_window);
        // Whoever started us may have left it blocked: threads of many runtimes do.
        sigset_t window;
        sigemptyset(&window);
        sigaddset(&window, SIGWINCH);
        pthread_sigmask(SIG_UNBLOCK, &window, NULL);
    } else if (watching) {
        sigaction(SIGWINCH, &previous_window, NULL);
        window_event = -1;
    }
}

int lguest_terminal_window_size(int fd, uint16_t *columns, uint16_t *rows) {
    struct winsize size;
    if (ioctl(fd, TIOCGWINSZ, &size) < 0) return errno;
    *columns = size.ws_col;
    *rows = size.ws_row;
    return 0;
}

void lguest_ignore_sigpipe(void) {
    signal(SIGPIPE, SIG_IGN);
}

int lguest_reopen_nonblocking(int fd) {
    char path[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int copy = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    return copy < 0 ? -errno : copy;
}

int lguest_event_create(void) {
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

int lguest_poll(struct pollfd *list, uint32_t count, int64_t nanoseconds) {
    if (nanoseconds == 0) return poll(list, count, 0);
    struct timespec limit = {.tv_sec = nanoseconds / 1000000000, .tv_nsec = nanoseconds % 1000000000};
    return ppoll(list, count, nanoseconds < 0 ? NULL : &limit, NULL);
}
