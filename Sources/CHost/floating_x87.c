// SPDX-License-Identifier: Apache-2.0
//
// x87 instructions on guest registers. The guest's registers, tags, status and control word are
// loaded into the host's unit, one instruction runs, and they are taken out again. An exception that
// the guest has unmasked makes the host's unit behave as the guest expects it (result withheld or
// scaled, summary bit set), but is only raised by the *next* waiting x87 instruction: FXSAVE and
// FNINIT do not wait, so it never is.

#include "floating.h"
#include "floating_x87_fast.h"

#if !defined(__x86_64__)
#error "this implementation of floating.h needs an x86-64 host"
#endif

#include <string.h>
#include <immintrin.h>

enum { STUB_SIZE = LGUEST_X87_STUB_SIZE };
enum { CONTROL = 0, STATUS = 2, MXCSR = 24, REGISTERS = 32, USED = 160 };

// Both take the operand's address in RDI, the stub in RSI and the FXSAVE image in RDX; the second one
// also takes EFLAGS in RCX and returns them in RAX.
extern void lguest_x87_run(void *operand, const char *stub, void *image) LGUEST_HIDDEN;
extern uint64_t lguest_x87_run_flags(
    void *operand, const char *stub, void *image, uint64_t eflags) LGUEST_HIDDEN;

__asm__(
    ".pushsection .text\n"
    ".balign 64\n"
    ".globl lguest_x87_register_stubs, lguest_x87_memory_stubs\n"
    ".hidden lguest_x87_register_stubs, lguest_x87_memory_stubs\n"
    "lguest_x87_register_stubs:\n"
    ".set lguest_op, 0\n"
    ".rept 512\n"
    ".byte 0xd8 + (lguest_op >> 6), 0xc0 + (lguest_op & 63)\n"
    "ret\n"
    ".byte 0xcc\n"
    ".set lguest_op, lguest_op + 1\n"
    ".endr\n"
    // ModRM 00 reg 111: [RDI]
    "lguest_x87_memory_stubs:\n"
    ".set lguest_op, 0\n"
    ".rept 64\n"
    ".byte 0xd8 + (lguest_op >> 3), 7 + ((lguest_op & 7) << 3)\n"
    "ret\n"
    ".byte 0xcc\n"
    ".set lguest_op, lguest_op + 1\n"
    ".endr\n"

    ".balign 32\n"
    "lguest_x87_run:\n"
    "subq $8, %rsp\n"
    "fnstcw (%rsp)\n"
    "fxrstor64 (%rdx)\n"
    "call *%rsi\n"
    "fxsave64 (%rdx)\n"
    "fninit\n"
    "fldcw (%rsp)\n"
    "addq $8, %rsp\n"
    "ret\n"

    ".balign 32\n"
    "lguest_x87_run_flags:\n"
    "subq $8, %rsp\n"
    "fnstcw (%rsp)\n"
    "fxrstor64 (%rdx)\n"
    "pushq %rcx\n"
    "popfq\n"
    "call *%rsi\n"
    "pushfq\n"
    "popq %rax\n"
    "fxsave64 (%rdx)\n"
    "fninit\n"
    "fldcw (%rsp)\n"
    "addq $8, %rsp\n"
    "ret\n"
    ".popsection\n");

// FXRSTOR reads all of it, XMM registers included, which no caller of ours keeps anything in.
struct image {
    _Alignas(16) unsigned char bytes[512];
};

static void load(struct image *image, const unsigned char *area)
{
    uint32_t mxcsr = _mm_getcsr();
    memcpy(image->bytes, area, USED);
    memcpy(image->bytes + MXCSR, &mxcsr, sizeof mxcsr);
    // A pending exception would be raised by our own instruction, on the host.
    uint16_t control, status;
    memcpy(&control, area + CONTROL, 2);
    memcpy(&status, area + STATUS, 2);
    if (status & ~control & 0x3f)
        __builtin_trap();
}

// The instruction and data pointers are the caller's business, the control word has not changed.
static void store(unsigned char *area, const struct image *image)
{
    memcpy(area + STATUS, image->bytes + STATUS, 3);
    memcpy(area + REGISTERS, image->bytes + REGISTERS, USED - REGISTERS);
}

void lguest_x87_register(void *area, uint32_t code)
{
    struct image image;
    if (lguest_x87_fast_register(area, code, 0))
        return;
    load(&image, area);
    lguest_x87_run(0, lguest_x87_register_stubs + (code & 511) * STUB_SIZE, &image);
    store(area, &image);
}

uint32_t lguest_x87_register_flags(void *area, uint32_t code, uint32_t eflags)
{
    struct image image;
    if (lguest_x87_fast_register(area, code, &eflags))
        return eflags;
    load(&image, area);
    const char *stub = lguest_x87_register_stubs + (code & 511) * STUB_SIZE;
    uint64_t flags = lguest_x87_run_flags(0, stub, &image, (eflags & 0x8d5) | 2);
    store(area, &image);
    return (uint32_t)flags & 0x8d5;
}

lguest_vector lguest_x87_memory(void *area, uint32_t code, lguest_vector operand)
{
    struct image image;
    if (lguest_x87_fast_memory(area, code, &operand))
        return operand;
    load(&image, area);
    lguest_x87_run(&operand, lguest_x87_memory_stubs + (code & 63) * STUB_SIZE, &image);
    store(area, &image);
    return operand;
}
