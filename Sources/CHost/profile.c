// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "profile.h"
#include "terminal.h"

#include <errno.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

static _Thread_local struct lguest_profile *current __attribute__((tls_model("initial-exec")));
static _Thread_local int started __attribute__((tls_model("initial-exec")));

// Who starts us may have left signals blocked.
static void unblock(int number)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, number);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

static void on_sample(int number, siginfo_t *info, void *context)
{
    struct lguest_profile *profile = current;
    (void)number;
    if (!profile)
        return;
    // The kernel looks at CPU clocks at its own ticks: what has expired in between counts as well.
    uint64_t weight = 1;
    if (info->si_code == SI_TIMER && info->si_overrun > 0)
        weight += (uint64_t)info->si_overrun;
#if defined(__x86_64__)
    const ucontext_t *state = context;
    if ((uintptr_t)state->uc_mcontext.gregs[REG_RIP] - profile->code < profile->code_bytes) {
        profile->samples_in_code += weight;
        return;
    }
#else
    (void)context;
#endif
    profile->samples[*profile->activity % LGUEST_ACTIVITIES] += weight;
}

int lguest_profile_start(uint64_t nanoseconds)
{
    if (started)
        return 0;
    // Generated code has a small stack of its own, so the handler must have another.
    struct sigaction action = {.sa_sigaction = on_sample, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART};
    sigemptyset(&action.sa_mask);
    if (sigaction(SIGPROF, &action, NULL) != 0)
        return errno;
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGPROF};
    event.sigev_notify_thread_id = (int)syscall(SYS_gettid);
    timer_t timer;
    if (timer_create(CLOCK_THREAD_CPUTIME_ID, &event, &timer) != 0)
        return errno;
    struct timespec every = {.tv_sec = (time_t)(nanoseconds / 1000000000), .tv_nsec = (long)(nanoseconds % 1000000000)};
    struct itimerspec times = {.it_interval = every, .it_value = every};
    if (timer_settime(timer, 0, &times, NULL) != 0) {
        int reason = errno;
        timer_delete(timer);
        return reason;
    }
    unblock(SIGPROF);
    started = 1;
    return 0;
}

void lguest_profile_use(struct lguest_profile *profile)
{
    current = profile;
}

static uint64_t read_clock(clockid_t clock)
{
    struct timespec now = {0};
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t lguest_thread_cpu_time(void)
{
    return read_clock(CLOCK_THREAD_CPUTIME_ID);
}

uint64_t lguest_process_cpu_time(void)
{
    return read_clock(CLOCK_PROCESS_CPUTIME_ID);
}

static volatile sig_atomic_t signal_events[65] = {0};
static struct sigaction previous_actions[65];
static volatile sig_atomic_t has_previous[65];

static void on_signal(int number)
{
    int error = errno;
    lguest_event_signal((int)signal_events[number] - 1);
    errno = error;
}

int lguest_signal_event(int number, int event)
{
    if (number < 1 || number > 64)
        return EINVAL;
    if (event < 0) {
        signal_events[number] = 0;
        if (!has_previous[number])
            return 0;
        has_previous[number] = 0;
        return sigaction(number, &previous_actions[number], NULL) == 0 ? 0 : errno;
    }
    signal_events[number] = event + 1;
    if (has_previous[number])
        return 0;
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART | SA_ONSTACK};
    sigemptyset(&action.sa_mask);
    if (sigaction(number, &action, &previous_actions[number]) != 0)
        return errno;
    has_previous[number] = 1;
    unblock(number);
    return 0;
}
