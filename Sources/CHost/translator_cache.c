// SPDX-License-Identifier: Apache-2.0
//
// Memory for generated code. One stretch of shared memory, mapped twice: the translator writes through one view and
// the processor runs the other, so that no page is writable and executable at the same time.

#define _GNU_SOURCE
#include "translator.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

int lguest_code_map(size_t bytes, void **writable, void **executable)
{
    // Without a file of our own: `perf` looks for names of generated code only where a mapping has no file.
    void *rx = mmap(0, bytes, PROT_READ | PROT_EXEC, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (rx == MAP_FAILED)
        return errno;
    // An old size of 0 makes a second mapping of the same shared memory (mremap(2)).
    void *rw = mremap(rx, 0, bytes, MREMAP_MAYMOVE);
    if (rw == MAP_FAILED || mprotect(rw, bytes, PROT_READ | PROT_WRITE) != 0) {
        int reason = errno;
        if (rw != MAP_FAILED)
            munmap(rw, bytes);
        munmap(rx, bytes);
        return reason;
    }
    *writable = rw;
    *executable = rx;
    return 0;
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
