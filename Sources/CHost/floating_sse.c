// SPDX-License-Identifier: Apache-2.0
//
// SSE instructions on guest values. A stub is one instruction on XMM0 and XMM1 (or EAX, ECX) and a
// return, which makes it a C function: the System V ABI passes the first two vectors in XMM0 and
// XMM1, returns a vector in XMM0 and an integer in EAX, and passes the fourth integer in ECX.

#include "floating.h"

#if !defined(__x86_64__)
#error "this implementation of floating.h needs an x86-64 host"
#endif

enum { STUB_SIZE = 8, STUBS = 4 * 256 + 32, IMMEDIATE_STUBS = 6 * 256, COMPARE_STUBS = 4 * 8 };

extern const char lguest_sse_stubs[] __attribute__((visibility("hidden")));
extern const char lguest_sse_immediate_stubs[] __attribute__((visibility("hidden")));
extern const char lguest_sse_compare_stubs[] __attribute__((visibility("hidden")));

// Every opcode of the two-byte map that the SSE rows use, for each mandatory prefix, with ModRM C1:
// destination register 0, source register 1. What is outside the SSE ranges traps.
__asm__(
    ".pushsection .text\n"
    ".macro lguest_two_byte prefix\n"
    ".set lguest_op, 0\n"
    ".rept 256\n"
    ".balign 8, 0xcc\n"
    ".if (lguest_op >= 0x10 && lguest_op <= 0x17) || (lguest_op >= 0x28 && lguest_op <= 0x2f)"
    " || (lguest_op >= 0x50 && lguest_op <= 0x6f) || (lguest_op >= 0x74 && lguest_op <= 0x7f)"
    " || (lguest_op >= 0xd0 && lguest_op <= 0xfe)\n"
    ".if \\prefix\n"
    ".byte \\prefix\n"
    ".endif\n"
    ".byte 0x0f, lguest_op, 0xc1\n"
    "ret\n"
    ".else\n"
    "ud2\n"
    ".endif\n"
    ".set lguest_op, lguest_op + 1\n"
    ".endr\n"
    ".balign 8, 0xcc\n"
    ".endm\n"

    ".balign 64\n"
    "lguest_sse_stubs:\n"
    "lguest_two_byte 0\n"
    "lguest_two_byte 0x66\n"
    "lguest_two_byte 0xf3\n"
    "lguest_two_byte 0xf2\n"
    // 66 0F38 00–1F: SSSE3
    ".set lguest_op, 0\n"
    ".rept 32\n"
    ".balign 8, 0xcc\n"
    ".if lguest_op <= 0x0b || (lguest_op >= 0x1c && lguest_op <= 0x1e)\n"
    ".byte 0x66, 0x0f, 0x38, lguest_op, 0xc1\n"
    "ret\n"
    ".else\n"
    "ud2\n"
    ".endif\n"
    ".set lguest_op, lguest_op + 1\n"
    ".endr\n"
    ".balign 8, 0xcc\n"

    ".macro lguest_immediates count, bytes:vararg\n"
    ".set lguest_op, 0\n"
    ".rept \\count\n"
    ".balign 8, 0xcc\n"
    ".byte \\bytes, 0xc1, lguest_op\n"
    "ret\n"
    ".set lguest_op, lguest_op + 1\n"
    ".endr\n"
    ".balign 8, 0xcc\n"
    ".endm\n"

    // In the order of `lguest_immediate_family`.
    ".balign 64\n"
    "lguest_sse_immediate_stubs:\n"
    "lguest_immediates 256, 0x66, 0x0f, 0x70\n"
    "lguest_immediates 256, 0xf3, 0x0f, 0x70\n"
    "lguest_immediates 256, 0xf2, 0x0f, 0x70\n"
    "lguest_immediates 256, 0x0f, 0xc6\n"
    "lguest_immediates 256, 0x66, 0x0f, 0xc6\n"
    "lguest_immediates 256, 0x66, 0x0f, 0x3a, 0x0f\n"

    ".balign 64\n"
    "lguest_sse_compare_stubs:\n"
    "lguest_immediates 8, 0x0f, 0xc2\n"
    "lguest_immediates 8, 0x66, 0x0f, 0xc2\n"
    "lguest_immediates 8, 0xf3, 0x0f, 0xc2\n"
    "lguest_immediates 8, 0xf2, 0x0f, 0xc2\n"
    ".purgem lguest_two_byte\n"
    ".purgem lguest_immediates\n"
    ".popsection\n");

typedef lguest_vector (*binary_stub)(lguest_vector, lguest_vector);
typedef uint32_t (*to_general_stub)(lguest_vector, lguest_vector);
typedef lguest_vector (*from_general_stub)(uint32_t, uint32_t, uint32_t, uint32_t, lguest_vector);

static const char *checked(const char *stubs, uint32_t index, uint32_t count)
{
    if (index >= count)
        __builtin_trap();
    return stubs + index * STUB_SIZE;
}

lguest_vector lguest_sse(lguest_vector a, lguest_vector b, uint32_t stub)
{
    return ((binary_stub)checked(lguest_sse_stubs, stub, STUBS))(a, b);
}

lguest_vector lguest_sse_immediate(
    lguest_vector a, lguest_vector b, uint32_t family, uint32_t immediate)
{
    uint32_t index = family * 256 + (immediate & 255);
    return ((binary_stub)checked(lguest_sse_immediate_stubs, index, IMMEDIATE_STUBS))(a, b);
}

// The memory clobbers keep the guest's instruction between the two changes of MXCSR.
static inline uint32_t enter(uint32_t mxcsr)
{
    uint32_t host;
    __asm__ volatile("stmxcsr %0" : "=m"(host) : : "memory");
    __asm__ volatile("ldmxcsr %0" : : "m"(mxcsr) : "memory");
    return host;
}

static inline uint32_t leave(uint32_t host)
{
    uint32_t mxcsr;
    __asm__ volatile("stmxcsr %0" : "=m"(mxcsr) : : "memory");
    __asm__ volatile("ldmxcsr %0" : : "m"(host) : "memory");
    return mxcsr;
}

static lguest_vector numeric(lguest_vector a, lguest_vector b, const char *stub, uint32_t *mxcsr)
{
    uint32_t host = enter(*mxcsr);
    lguest_vector result = ((binary_stub)stub)(a, b);
    *mxcsr = leave(host);
    return result;
}

lguest_vector lguest_sse_numeric(lguest_vector a, lguest_vector b, uint32_t stub, uint32_t *mxcsr)
{
    return numeric(a, b, checked(lguest_sse_stubs, stub, STUBS), mxcsr);
}

lguest_vector lguest_sse_compare(
    lguest_vector a, lguest_vector b, uint32_t prefix, uint32_t predicate, uint32_t *mxcsr)
{
    uint32_t index = prefix * 8 + (predicate & 7);
    return numeric(a, b, checked(lguest_sse_compare_stubs, index, COMPARE_STUBS), mxcsr);
}

uint32_t lguest_sse_to_general(lguest_vector source, uint32_t stub, uint32_t *mxcsr)
{
    const char *code = checked(lguest_sse_stubs, stub, STUBS);
    uint32_t host = enter(*mxcsr);
    uint32_t result = ((to_general_stub)code)(source, source);
    *mxcsr = leave(host);
    return result;
}

lguest_vector lguest_sse_from_general(lguest_vector a, uint32_t source, uint32_t stub, uint32_t *mxcsr)
{
    const char *code = checked(lguest_sse_stubs, stub, STUBS);
    uint32_t host = enter(*mxcsr);
    lguest_vector result = ((from_general_stub)code)(0, 0, 0, source, a);
    *mxcsr = leave(host);
    return result;
}

#define COMPARE(instruction) \
    __asm__ volatile(instruction " %2, %1\n\tlahf" : "=a"(flags) : "x"(a), "x"(b) : "cc", "memory")

uint32_t lguest_sse_compare_flags(
    lguest_vector a, lguest_vector b, uint32_t prefix, uint32_t opcode, uint32_t *mxcsr)
{
    uint32_t flags;
    uint32_t host = enter(*mxcsr);
    if (opcode == 0x2e) {
        if (prefix == 0)
            COMPARE("ucomiss");
        else
            COMPARE("ucomisd");
    } else {
        if (prefix == 0)
            COMPARE("comiss");
        else
            COMPARE("comisd");
    }
    *mxcsr = leave(host);
    return flags >> 8 & 0x45;
}
