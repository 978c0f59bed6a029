// SPDX-License-Identifier: Apache-2.0
//
// The short way through the host's x87 unit. Loading and storing all of it costs 130 ns on the
// machines this was written on; loading one or two registers, calculating and storing one costs 10.
// What makes that possible: with all exceptions masked and no empty register involved, an
// instruction depends on its operands and the control word only.

#include "floating_x87_fast.h"

#include <string.h>

enum { CONTROL = 0, STATUS = 2, TAGS = 4, REGISTERS = 32, SLOT = 16 };
enum { FLAGS = 0x3f, C1 = 0x200, C2 = 0x400, CONDITION = 0x4700, TOP_SHIFT = 11 };

// Each takes an operand or nothing in RDI, the stub in RSI, register slots in RDX, RCX and R8, and returns
// the status word in EAX. The host's x87 stack is empty before and after, as the ABI has it.
extern uint32_t lguest_x87_load(void *operand, const char *stub, void *result) LGUEST_HIDDEN;
extern uint32_t lguest_x87_modify(void *operand, const char *stub, void *slot) LGUEST_HIDDEN;
extern uint32_t lguest_x87_test(void *operand, const char *stub, void *slot) LGUEST_HIDDEN;
extern uint32_t lguest_x87_store(void *operand, const char *stub, void *slot) LGUEST_HIDDEN;
// Two operands; the result is in ST(0) above the second operand, or alone.
extern uint32_t lguest_x87_binary(
    void *unused, const char *stub, void *top, void *other, void *result) LGUEST_HIDDEN;
extern uint32_t lguest_x87_binary_pop(
    void *unused, const char *stub, void *top, void *other, void *result) LGUEST_HIDDEN;
// Also returns the flags of EFLAGS in bits 16–23.
extern uint32_t lguest_x87_compare(void *unused, const char *stub, void *top, void *other) LGUEST_HIDDEN;

__asm__(
    ".pushsection .text\n"
    ".balign 16\n"
    "lguest_x87_load:\n"
    "call *%rsi\n"
    "fnstsw %ax\n"
    "fstpt (%rdx)\n"
    "ret\n"
    ".balign 16\n"
    "lguest_x87_modify:\n"
    "fldt (%rdx)\n"
    "call *%rsi\n"
    "fnstsw %ax\n"
    "fstpt (%rdx)\n"
    "ret\n"
    ".balign 16\n"
    "lguest_x87_test:\n"
    "fldt (%rdx)\n"
    "call *%rsi\n"
    "fnstsw %ax\n"
    "fstp %st(0)\n"
    "ret\n"
    ".balign 16\n"
    "lguest_x87_store:\n"
    "fldt (%rdx)\n"
    "call *%rsi\n"
    "fnstsw %ax\n"
    "ret\n"
    ".balign 16\n"
    "lguest_x87_binary:\n"
    "fldt (%rcx)\n"
    "fldt (%rdx)\n"
    "call *%rsi\n"
    "fnstsw %ax\n"
    "fstpt (%r8)\n"
    "fstp %st(0)\n"
    "ret\n"
    ".balign 16\n"
    "lguest_x87_binary_pop:\n"
    "fldt (%rcx)\n"
    "fldt (%rdx)\n"
    "call *%rsi\n"
    "fnstsw %ax\n"
    "fstpt (%r8)\n"
    "ret\n"
    ".balign 16\n"
    "lguest_x87_compare:\n"
    "fldt (%rcx)\n"
    "fldt (%rdx)\n"
    "call *%rsi\n"
    "lahf\n"
    "movzbl %ah, %ecx\n"
    "shll $16, %ecx\n"
    "fnstsw %ax\n"
    "movzwl %ax, %eax\n"
    "orl %ecx, %eax\n"
    "fstp %st(0)\n"
    "fstp %st(0)\n"
    "ret\n"
    ".popsection\n");

static uint16_t word(const unsigned char *area, int offset)
{
    uint16_t value;
    memcpy(&value, area + offset, sizeof value);
    return value;
}

static void set_word(unsigned char *area, int offset, uint16_t value)
{
    memcpy(area + offset, &value, sizeof value);
}

static unsigned char *slot(unsigned char *area, uint32_t index)
{
    return area + REGISTERS + (index & 7) * SLOT;
}

static uint32_t top(const unsigned char *area) { return word(area, STATUS) >> TOP_SHIFT & 7; }

static int is_full(const unsigned char *area, uint32_t index)
{
    return area[TAGS] >> ((top(area) + index) & 7) & 1;
}

static void set_top(unsigned char *area, uint32_t value)
{
    set_word(area, STATUS, (word(area, STATUS) & ~0x3800) | (value & 7) << TOP_SHIFT);
}

// The slots are numbered from the top, so they move with it.
static void push(unsigned char *area, const unsigned char *value)
{
    unsigned char copy[SLOT];
    memcpy(copy, value, SLOT);
    memmove(slot(area, 1), slot(area, 0), 7 * SLOT);
    memcpy(slot(area, 0), copy, SLOT);
    set_top(area, top(area) - 1);
    area[TAGS] |= 1 << top(area);
}

static void pop(unsigned char *area)
{
    unsigned char copy[SLOT];
    memcpy(copy, slot(area, 0), SLOT);
    memmove(slot(area, 0), slot(area, 1), 7 * SLOT);
    memcpy(slot(area, 7), copy, SLOT);
    area[TAGS] &= ~(1 << top(area));
    set_top(area, top(area) + 1);
}

// The host's unit under the guest's control word. Flags left over on the host do no harm if the
// guest has them set too, and usually it has: clearing them costs more than all the rest.
static uint16_t enter(const unsigned char *area)
{
    uint16_t host, status, control = word(area, CONTROL);
    __asm__ volatile("fnstcw %0\n\tfnstsw %1" : "=m"(host), "=a"(status));
    if (status & FLAGS & ~word(area, STATUS))
        __asm__ volatile("fnclex");
    if (host != control)
        __asm__ volatile("fldcw %0" : : "m"(control));
    return host;
}

// Takes over the exception flags and those condition codes that the instruction defines.
static void leave(unsigned char *area, uint16_t host, uint32_t status, uint32_t defined)
{
    if (host != word(area, CONTROL))
        __asm__ volatile("fldcw %0" : : "m"(host));
    uint32_t old = word(area, STATUS);
    set_word(area, STATUS, (old & ~defined) | (status & (defined | FLAGS)));
}

static const char *register_stub(uint32_t code)
{
    return lguest_x87_register_stubs + (code & 511) * LGUEST_X87_STUB_SIZE;
}

static const char *memory_stub(uint32_t code)
{
    return lguest_x87_memory_stubs + (code & 63) * LGUEST_X87_STUB_SIZE;
}

static int is_masked(const unsigned char *area) { return (word(area, CONTROL) & FLAGS) == FLAGS; }

// D8, DC, DE: `group` is the operation; 2 and 3 are the comparisons. The stubs used have ST(1) as
// the other operand.
static int arithmetic(unsigned char *area, uint32_t opcode, uint32_t group, uint32_t index)
{
    if (!is_full(area, 0) || !is_full(area, index))
        return 0;
    if (group == 2 || group == 3) {
        uint16_t host = enter(area);
        uint32_t status = lguest_x87_compare(0, register_stub(0021), slot(area, 0), slot(area, index));
        leave(area, host, status, CONDITION);
        if (group == 3 || opcode == 6)
            pop(area);
        return 1;
    }
    if (opcode != 0 && index == 0)
        return 0;
    uint16_t host = enter(area);
    uint32_t status;
    if (opcode == 0) {
        const char *stub = register_stub(group << 3 | 1);
        status = lguest_x87_binary(0, stub, slot(area, 0), slot(area, index), slot(area, 0));
    } else {
        const char *stub = register_stub(0600 | group << 3 | 1);
        status = lguest_x87_binary_pop(0, stub, slot(area, 0), slot(area, index), slot(area, index));
    }
    leave(area, host, status, C1);
    if (opcode == 6)
        pop(area);
    return 1;
}

// FCOMI and its kin clear C1 by Intel's manual and leave it alone on AMD's processors. 0 not known yet.
static uint16_t comparison_into_eflags_defines(void)
{
    static _Atomic int defined;
    if (defined == 0) {
        uint16_t status;
        // FXAM of a negative number sets C1.
        __asm__ volatile("fld1\n\tfchs\n\tfxam\n\tfucomi %%st(0), %%st\n\tfnstsw %0\n\tfstp %%st(0)"
                         : "=a"(status) : : "cc");
        defined = 1 | (status & C1 ? 0 : C1);
    }
    return defined & C1;
}

// FUCOM, FUCOMP, FUCOMI, FUCOMIP, FCOMI, FCOMIP: `code` is the form with ST(1) that does not pop.
static int compare(unsigned char *area, uint32_t code, uint32_t index, int pops, uint32_t *eflags)
{
    if (!is_full(area, 0) || !is_full(area, index))
        return 0;
    uint32_t defined = eflags ? comparison_into_eflags_defines() : CONDITION;
    uint16_t host = enter(area);
    uint32_t status = lguest_x87_compare(0, register_stub(code), slot(area, 0), slot(area, index));
    leave(area, host, status, defined);
    if (eflags)
        *eflags = status >> 16 & 0x45;
    while (pops-- > 0)
        pop(area);
    return 1;
}

// D9 20–3F (octal 140–177): constants, functions of one and of two operands. Not FPREM: which condition
// codes it defines depends on its operands.
static int function(unsigned char *area, uint32_t code)
{
    const char *stub = register_stub(code);
    unsigned char *first = slot(area, 0), *second = slot(area, 1);
    uint32_t status, defined = C1;
    if (code >= 0150 && code <= 0156) {
        unsigned char value[SLOT] = {0};
        if (is_full(area, 7))
            return 0;
        uint16_t host = enter(area);
        status = lguest_x87_load(0, stub, value);
        leave(area, host, status, C1);
        push(area, value);
        return 1;
    }
    if (!is_full(area, 0))
        return 0;
    int kind = 0;  // 1 one operand, 2 test, 3 two operands, 4 two operands and pop
    switch (code) {
    case 0140: case 0141: case 0160: case 0172: case 0174: kind = 1; break;  // FCHS FABS F2XM1 FSQRT FRNDINT
    case 0176: case 0177: kind = 1; defined = C1 | C2; break;                // FSIN FCOS
    case 0144: case 0145: kind = 2; defined = CONDITION; break;              // FTST FXAM
    case 0175: kind = 3; break;                                              // FSCALE
    case 0161: case 0163: case 0171: kind = 4; break;                        // FYL2X FPATAN FYL2XP1
    }
    if (kind == 0 || (kind >= 3 && !is_full(area, 1)))
        return 0;
    uint16_t host = enter(area);
    switch (kind) {
    case 1: status = lguest_x87_modify(0, stub, first); break;
    case 2: status = lguest_x87_test(0, stub, first); break;
    case 3: status = lguest_x87_binary(0, stub, first, second, first); break;
    default: status = lguest_x87_binary_pop(0, stub, first, second, second); break;
    }
    leave(area, host, status, defined);
    if (kind == 4)
        pop(area);
    return 1;
}

// FLD, FXCH, FST, FSTP between registers: no number is looked at.
static int move(unsigned char *area, uint32_t kind, uint32_t index)
{
    unsigned char copy[SLOT];
    if (!is_full(area, kind == 0 ? index : 0))
        return 0;
    if (kind == 0 ? is_full(area, 7) : kind == 1 && !is_full(area, index))
        return 0;
    set_word(area, STATUS, word(area, STATUS) & ~C1);
    if (kind == 0) {
        push(area, slot(area, index));
        return 1;
    }
    memcpy(copy, slot(area, index), SLOT);
    memcpy(slot(area, index), slot(area, 0), SLOT);
    if (kind == 1) {
        memcpy(slot(area, 0), copy, SLOT);
    } else {
        area[TAGS] |= 1 << ((top(area) + index) & 7);
        if (kind == 3)
            pop(area);
    }
    return 1;
}

int lguest_x87_fast_register(unsigned char *area, uint32_t code, uint32_t *eflags)
{
    if (!is_masked(area))
        return 0;
    uint32_t opcode = code >> 6 & 7, group = code >> 3 & 7, index = code & 7;
    switch (opcode << 3 | group) {
    case 010: return move(area, 0, index);             // FLD
    case 011: return move(area, 1, index);             // FXCH
    case 014: case 015: case 016: case 017: return function(area, code);
    case 025: return code == 0251 ? compare(area, 0541, 1, 2, 0) : 0;  // FUCOMPP
    case 035: return eflags ? compare(area, 0351, index, 0, eflags) : 0;  // FUCOMI
    case 036: return eflags ? compare(area, 0361, index, 0, eflags) : 0;  // FCOMI
    case 052: return move(area, 2, index);             // FST
    case 053: return move(area, 3, index);             // FSTP
    case 054: return compare(area, 0541, index, 0, 0);  // FUCOM
    case 055: return compare(area, 0541, index, 1, 0);  // FUCOMP
    case 063: return compare(area, 0021, 1, 2, 0);      // FCOMPP
    case 075: return eflags ? compare(area, 0351, index, 1, eflags) : 0;  // FUCOMIP
    case 076: return eflags ? compare(area, 0361, index, 1, eflags) : 0;  // FCOMIP
    }
    return opcode == 0 || opcode == 4 || opcode == 6 ? arithmetic(area, opcode, group, index) : 0;
}

int lguest_x87_fast_memory(unsigned char *area, uint32_t code, void *operand)
{
    if (!is_masked(area))
        return 0;
    uint32_t opcode = code >> 3 & 7, group = code & 7;
    uint32_t status;
    uint16_t host;
    if ((opcode & 1) == 0) {  // arithmetic with ST(0)
        if (!is_full(area, 0))
            return 0;
        int compares = group == 2 || group == 3;
        host = enter(area);
        status = compares ? lguest_x87_test(operand, memory_stub(code & ~1u), slot(area, 0))
                          : lguest_x87_modify(operand, memory_stub(code), slot(area, 0));
        leave(area, host, status, compares ? CONDITION : C1);
        if (group == 3)
            pop(area);
        return 1;
    }
    switch (code) {
    case 010: case 030: case 035: case 050: case 070: case 074: case 075: {  // FLD, FILD, FBLD
        unsigned char value[SLOT] = {0};
        if (is_full(area, 7))
            return 0;
        host = enter(area);
        status = lguest_x87_load(operand, memory_stub(code), value);
        leave(area, host, status, C1);
        push(area, value);
        return 1;
    }
    case 012: case 032: case 052: case 072:  // FST, FIST: stored by the form that pops
    case 013: case 031: case 033: case 037: case 051: case 053: case 071: case 073: case 076: case 077:
        if (!is_full(area, 0))
            return 0;
        host = enter(area);
        status = lguest_x87_store(operand, memory_stub(group == 2 ? code + 1 : code), slot(area, 0));
        leave(area, host, status, C1);
        if (group != 2)
            pop(area);
        return 1;
    }
    return 0;
}
