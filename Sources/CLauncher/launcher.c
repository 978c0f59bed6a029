// SPDX-License-Identifier: Apache-2.0

#define _GNU_SOURCE
#include "launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

void lguest_set_process_name(const char *name) { prctl(PR_SET_NAME, name, 0, 0, 0); }

int lguest_open_pseudo_terminal(char *name, size_t size) {
    int fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return -errno;
    int reason = grantpt(fd) != 0 || unlockpt(fd) != 0 ? errno : ptsname_r(fd, name, size);
    if (reason == 0)
        return fd;
    close(fd);
    return -reason;
}
