// SPDX-License-Identifier: Apache-2.0
//
// One question that SSE with masked exceptions cannot answer: would a result that is too large or
// tiny have been exact, had the exponent been unbounded? x87 can, since its exponent range holds every
// product and quotient of doubles and its precision control rounds to 24 or 53 bits. Only asked while
// a guest has overflow or underflow unmasked.

#include "floating.h"

#include <string.h>

enum { PRECISION_FLAG = 0x20, DENORMALS_ARE_ZERO = 0x40 };

#define CALCULATE(instruction)                                                                \
    __asm__ volatile("fldl %1\n\t" instruction " %2\n\tfnstsw %0\n\tfstp %%st(0)"             \
                     : "=m"(status)                                                           \
                     : "m"(a), "m"(b))

static int lane_inexact(double a, double b, char operation, uint16_t control)
{
    uint16_t host, status;
    __asm__ volatile("fnstcw %0\n\tfnclex\n\tfldcw %1" : "=m"(host) : "m"(control));
    switch (operation) {
    case '+': CALCULATE("faddl"); break;
    case '-': CALCULATE("fsubl"); break;
    case '/': CALCULATE("fdivl"); break;
    default: CALCULATE("fmull"); break;
    }
    __asm__ volatile("fnclex\n\tfldcw %0" : : "m"(host));
    return status & PRECISION_FLAG;
}

// The lanes of a register as doubles, which is exact.
static void unpack(double lanes[4], lguest_vector vector, int single, uint32_t mxcsr)
{
    int flush = (mxcsr & DENORMALS_ARE_ZERO) != 0;
    if (single) {
        float values[4];
        uint32_t bits[4];
        memcpy(values, &vector, sizeof values);
        memcpy(bits, &vector, sizeof bits);
        for (int i = 0; i < 4; i++)
            lanes[i] = flush && (bits[i] & 0x7f800000) == 0 ? 0 : values[i];
    } else {
        double values[2];
        uint64_t bits[2];
        memcpy(values, &vector, sizeof values);
        memcpy(bits, &vector, sizeof bits);
        for (int i = 0; i < 2; i++)
            lanes[i] = flush && (bits[i] & 0x7ff0000000000000) == 0 ? 0 : values[i];
    }
}

// HADD, HSUB: the pairs within both operands, as left and right operands.
static void pair_up(double left[4], double right[4], int lanes)
{
    double a[4], b[4];
    memcpy(a, left, sizeof a);
    memcpy(b, right, sizeof b);
    for (int i = 0; i < lanes / 2; i++) {
        left[i] = a[2 * i];
        right[i] = a[2 * i + 1];
        left[i + lanes / 2] = b[2 * i];
        right[i + lanes / 2] = b[2 * i + 1];
    }
}

int lguest_sse_inexact(
    lguest_vector a, lguest_vector b, uint32_t prefix, uint32_t opcode, uint32_t mxcsr)
{
    int converts = opcode == 0x5a;
    int sse3 = opcode == 0x7c || opcode == 0x7d || opcode == 0xd0;
    int single = sse3 ? prefix == 3 : !converts && (prefix == 0 || prefix == 2);
    int lanes = !sse3 && prefix >= 2 ? 1 : single ? 4 : 2;
    double left[4] = {1, 1, 1, 1}, right[4];
    if (!converts)
        unpack(left, a, single, mxcsr);
    unpack(right, b, single, mxcsr);
    if (opcode == 0x7c || opcode == 0x7d)
        pair_up(left, right, lanes);
    // All masked, 24 or 53 bits, the rounding of MXCSR.
    uint16_t control = 0x7f | (single || converts ? 0 : 0x200) | (mxcsr >> 13 & 3) << 10;
    for (int i = 0; i < lanes; i++) {
        char operation = '*';
        if (opcode == 0x58 || opcode == 0x7c || (opcode == 0xd0 && i % 2 != 0))
            operation = '+';
        else if (opcode == 0x5c || opcode == 0x7d || opcode == 0xd0)
            operation = '-';
        else if (opcode == 0x5e)
            operation = '/';
        if (lane_inexact(left[i], right[i], operation, control))
            return 1;
    }
    return 0;
}
