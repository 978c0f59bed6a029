// SPDX-License-Identifier: Apache-2.0
//
// Where a thread's CPU time goes, by samples: a timer on the thread's CPU clock, whose signal handler looks whether
// generated code was running, and else what the thread said that it was doing.

#ifndef LGUEST_PROFILE_H
#define LGUEST_PROFILE_H

#include <stddef.h>
#include <stdint.h>

#define LGUEST_ACTIVITIES 8

struct lguest_profile {
    /// The range of generated code; no bytes for none.
    uintptr_t code;
    size_t code_bytes;
    /// What the thread is doing while it is not in there: below LGUEST_ACTIVITIES.
    const volatile uint32_t *activity;
    uint64_t samples_in_code;
    uint64_t samples[LGUEST_ACTIVITIES];
};

/// Starts sampling the calling thread, about every `nanoseconds` of its CPU time, for as long as it lives. Returns 0,
/// or errno. A second call of the same thread does nothing.
int lguest_profile_start(uint64_t nanoseconds);

/// Where the calling thread's samples go from now on; NULL for nowhere.
void lguest_profile_use(struct lguest_profile *profile);

/// CPU time of the calling thread, and of the whole process, in nanoseconds.
uint64_t lguest_thread_cpu_time(void);
uint64_t lguest_process_cpu_time(void);

/// Makes signal `number` raise the event descriptor `event`, and lets the calling thread have it (negative: the signal is as it was before the first call).
/// Returns 0, or errno.
int lguest_signal_event(int number, int event);

#endif
