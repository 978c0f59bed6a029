// SPDX-License-Identifier: Apache-2.0
//
// Memory for generated code. One anonymous file, mapped twice: the translator writes through one view and
// the processor runs the other, so that no page is writable and executable at the same time.

#define _GNU_SOURCE
#include "translator.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

int lguest_code_map(size_t bytes, void **writable, void **executable)
{
    int fd = memfd_create("lguest-code", MFD_CLOEXEC);
    if (fd < 0)
        return errno;
    int reason = 0;
    void *rw = MAP_FAILED, *rx = MAP_FAILED;
    if (ftruncate(fd, (off_t)bytes) != 0) {
        reason = errno;
    } else {
        rw = mmap(0, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (rw == MAP_FAILED) {
            reason = errno;
        } else {
            rx = mmap(0, bytes, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
            if (rx == MAP_FAILED) {
                reason = errno;
                munmap(rw, bytes);
            }
        }
    }
    close(fd);
    *writable = rw;
    *executable = rx;
    return reason;
}

void lguest_code_unmap(size_t bytes, void *writable, void *executable)
{
    munmap(writable, bytes);
    munmap(executable, bytes);
}

int lguest_host_has_bmi2(void)
{
#if defined(__x86_64__)
    return __builtin_cpu_supports("bmi2") ? 1 : 0;
#else
    return 0;
#endif
}

int lguest_host_has_xsave(void)
{
#if defined(__x86_64__)
    unsigned eax = 1, ebx, ecx = 0, edx;
    __asm__("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
    return ecx >> 27 & 1; // OSXSAVE
#else
    return 0;
#endif
}

uint64_t lguest_host_ticks(void)
{
#if defined(__x86_64__)
    static int constant = -1;
    if (constant < 0) {
        unsigned eax = 0x80000000u, ebx, ecx, edx;
        __asm__("cpuid" : "+a"(eax), "=b"(ebx), "=c"(ecx), "=d"(edx));
        unsigned highest = eax;
        eax = 0x80000007u;
        __asm__("cpuid" : "+a"(eax), "=b"(ebx), "=c"(ecx), "=d"(edx));
        constant = highest >= 0x80000007u && (edx >> 8 & 1); // invariant TSC
    }
    return constant ? __builtin_ia32_rdtsc() : 0;
#else
    return 0;
#endif
}

void lguest_code_enter(const void *thunk, void *state, const void *code)
{
    ((void (*)(void *, const void *))thunk)(state, code);
}
