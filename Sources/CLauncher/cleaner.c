// SPDX-License-Identifier: Apache-2.0
//
// A child process that waits for the end of its parent and then removes files, which a confined parent may
// not do itself, and a parent that was killed cannot.

#define _GNU_SOURCE
#include "cleaner.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

// Whatever else is open would stay open, with its readers waiting for us.
static void close_all_but(int kept) {
    if (syscall(SYS_close_range, 0, kept - 1, 0) == 0 && syscall(SYS_close_range, kept + 1, ~0U, 0) == 0) return;
    for (int fd = 0; fd < 4096; fd++) {
        if (fd != kept) close(fd);
    }
}

static void clean(int end, const char *path) {
    // A session of our own: what the terminal sends to the parent's group is not for us.
    setsid();
    prctl(PR_SET_NAME, "lguest-cleaner", 0, 0, 0);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    close_all_but(end);
    char byte;
    ssize_t count;
    do {
        count = read(end, &byte, 1);
    } while (count < 0 && errno == EINTR);
    unlink(path);
    _exit(0);
}

int lguest_cleaner_start(const char *path, int *process) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return -errno;
    // A number that leaves room below it for `close_range`.
    int end = fcntl(ends[0], F_DUPFD_CLOEXEC, 3);
    close(ends[0]);
    pid_t child = end < 0 ? -1 : fork();
    if (child == 0) clean(end, path);
    int reason = errno;
    if (end >= 0) close(end);
    if (child < 0) {
        close(ends[1]);
        return -reason;
    }
    *process = child;
    return ends[1];
}

void lguest_cleaner_end(int end, int process) {
    close(end);
    int status;
    while (waitpid(process, &status, 0) < 0 && errno == EINTR) {
    }
}
