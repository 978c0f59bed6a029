// SPDX-License-Identifier: Apache-2.0
//
// Trying out what the host lets us do, in a child process where the attempt leaves traces.

#define _GNU_SOURCE
#include "probes.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

int lguest_in_child(int (*body)(void)) {
    pid_t child = fork();
    if (child < 0) return -errno;
    if (child == 0) _exit(body());
    int status;
    while (waitpid(child, &status, 0) < 0) {
        if (errno != EINTR) return -errno;
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : -EINTR;
}

static int try_user_namespace(void) { return unshare(CLONE_NEWUSER) == 0 ? 0 : errno; }

int lguest_probe_user_namespace(void) { return lguest_in_child(try_user_namespace); }

int lguest_probe_memfd(void) {
    int fd = memfd_create("lguest-probe", MFD_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

int lguest_probe_code(int fd) {
    // mov $42,%eax; ret
    static const unsigned char code[] = {0xB8, 42, 0, 0, 0, 0xC3};
    if (ftruncate(fd, 4096) != 0) return errno;
    void *writable = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (writable == MAP_FAILED) return errno;
    memcpy(writable, code, sizeof code);
    munmap(writable, 4096);
    void *executable = mmap(0, 4096, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
    if (executable == MAP_FAILED) return errno;
#if defined(__x86_64__)
    int answer = ((int (*)(void))executable)();
#else
    int answer = 42;
#endif
    munmap(executable, 4096);
    return answer == 42 ? 0 : EIO;
}
