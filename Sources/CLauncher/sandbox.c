// SPDX-License-Identifier: Apache-2.0
//
// What a confined process needs in C: giving up its capabilities, and the handler that the kernel calls in
// place of a refused system call. The handler uses only what POSIX lists as async-signal-safe.

#define _GNU_SOURCE
#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#ifndef SYS_SECCOMP
#define SYS_SECCOMP 1
#endif

int lguest_drop_capabilities(void) {
    // The kernel says EINVAL behind its last capability, and EPERM to who may not lower the bound.
    for (int capability = 0; capability < 64; capability++) {
        if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0) break;
    }
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[2] = {{0}};
    return syscall(SYS_capset, &header, none) == 0 ? 0 : -errno;
}

int lguest_forbid_new_privileges(void) { return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 ? 0 : -errno; }

// Landlock, by the kernel's documentation (userspace-api/landlock): three system calls and their arguments.
enum {
    LANDLOCK_CREATE = 444,
    LANDLOCK_ADD = 445,
    LANDLOCK_RESTRICT = 446,
    LANDLOCK_PATH_BENEATH = 1,
};
// Bits of the rights: EXECUTE, WRITE_FILE, READ_FILE, READ_DIR, nine for making and removing, REFER, TRUNCATE.
#define LANDLOCK_READ (1ull << 2 | 1ull << 3)
#define LANDLOCK_ALL ((1ull << 14) - 1)
#define LANDLOCK_TRUNCATE (1ull << 14)

struct landlock_ruleset {
    uint64_t handled;
};
struct landlock_beneath {
    uint64_t allowed;
    int32_t folder;
} __attribute__((packed));

static struct {
    int descriptor, is_read_only;
} folders[64];
static int folder_count;

void lguest_sandbox_keep_folder(int folder, int is_read_only) {
    if (folder_count == sizeof folders / sizeof *folders) return;
    folders[folder_count].descriptor = folder;
    folders[folder_count++].is_read_only = is_read_only;
}

int lguest_sandbox_keep_to_folders(void) {
    long version = syscall(LANDLOCK_CREATE, NULL, 0, 1);
    if (version < 0) return -errno;
    // Before version 2 no file could be moved from folder to folder.
    if (version < 2) return -EOPNOTSUPP;
    uint64_t all = LANDLOCK_ALL | (version >= 3 ? LANDLOCK_TRUNCATE : 0);
    struct landlock_ruleset rules = {all};
    int set = (int)syscall(LANDLOCK_CREATE, &rules, sizeof rules, 0);
    if (set < 0) return -errno;
    int result = 0;
    for (int n = 0; n < folder_count && result == 0; n++) {
        struct landlock_beneath rule = {folders[n].is_read_only ? LANDLOCK_READ : all, folders[n].descriptor};
        if (syscall(LANDLOCK_ADD, set, LANDLOCK_PATH_BENEATH, &rule, 0) != 0) result = -errno;
    }
    if (result == 0 && syscall(LANDLOCK_RESTRICT, set, 0) != 0) result = -errno;
    close(set);
    return result;
}

// Names by number, for the message; they are never freed.
static const char *names[LGUEST_CALL_NAMES];
static volatile sig_atomic_t reported[LGUEST_CALL_NAMES];
// The files that are read through us, and their paths; the descriptor is negative when there is none.
static struct {
    const char *path;
    int descriptor;
} served[4];
static int served_count;

void lguest_sandbox_name(int number, const char *name) {
    if (number >= 0 && number < LGUEST_CALL_NAMES && !names[number]) names[number] = strdup(name);
}

int lguest_sandbox_serve(const char *path) {
    for (int n = 0; n < served_count; n++) {
        if (strcmp(served[n].path, path) == 0) return served[n].descriptor;
    }
    const char *copy = served_count < (int)(sizeof served / sizeof *served) ? strdup(path) : NULL;
    if (!copy) return -1;
    served[served_count].path = copy;
    return served[served_count++].descriptor = open(path, O_RDONLY | O_CLOEXEC);
}

#if defined(__x86_64__)

static void say(const char *text) {
    ssize_t ignored = write(2, text, strlen(text));
    (void)ignored;
}

static void report(long number) {
    if (number < 0 || number >= LGUEST_CALL_NAMES || reported[number]) return;
    reported[number] = 1;
    char digits[8], *at = digits + sizeof digits;
    *--at = 0;
    long rest = number;
    do {
        *--at = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest);
    say("lguest: the sandbox refused the system call ");
    say(names[number] ? names[number] : "of number");
    say(" (");
    say(at);
    say("); --no-sandbox would allow it\n");
}

// A fresh descriptor of a served file, read from its beginning.
static long open_served(int n) {
    if (served[n].descriptor < 0) return -ENOENT;
    int copy = fcntl(served[n].descriptor, F_DUPFD_CLOEXEC, 3);
    if (copy < 0) return -errno;
    lseek(copy, 0, SEEK_SET);
    return copy;
}

static long look_at_served(int n, void *status) {
    if (served[n].descriptor < 0) return -ENOENT;
    return syscall(SYS_fstat, served[n].descriptor, status) == 0 ? 0 : -errno;
}

// Which of the served files that is, or a negative number.
static int find_served(greg_t path) {
    for (int n = 0; path && n < served_count; n++) {
        if (strcmp((const char *)(uintptr_t)path, served[n].path) == 0) return n;
    }
    return -1;
}

// The kernel has not carried the call out; what we put into RAX is what the caller gets.
static void on_refused(int signal_number, siginfo_t *info, void *context) {
    (void)signal_number;
    if (info->si_code != SYS_SECCOMP) return;
    int error = errno;
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    long number = info->si_syscall, result = -EPERM;
    int is_about_file = number == SYS_openat || number == SYS_newfstatat;
    int file = is_about_file ? find_served(registers[REG_RSI]) : -1;
    if (file >= 0 && number == SYS_openat) {
        result = open_served(file);
    } else if (file >= 0) {
        result = look_at_served(file, (void *)(uintptr_t)registers[REG_RDX]);
    } else {
        report(number);
    }
    registers[REG_RAX] = result;
    errno = error;
}

int lguest_sandbox_handle_refusals(void) {
    struct sigaction action = {.sa_sigaction = on_refused, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    sigemptyset(&action.sa_mask);
    if (sigaction(SIGSYS, &action, NULL) != 0) return -errno;
    // Blocked, it would kill the process instead.
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGSYS);
    return -pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

#else

int lguest_sandbox_handle_refusals(void) { return -ENOSYS; }

#endif
