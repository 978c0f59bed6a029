// SPDX-License-Identifier: Apache-2.0
//
// What compilers take for granted and a bare machine lacks: moving memory, and dividing 64-bit numbers on a
// 32-bit processor. There is no heap, and no malloc: the Swift half does not need one, which the linker
// proves.
#include <stddef.h>
#include <stdint.h>

void *memcpy(void *destination, const void *source, size_t count) {
    void *result = destination;
    __asm__ volatile("rep movsb" : "+D"(destination), "+S"(source), "+c"(count) : : "memory");
    return result;
}

void *memmove(void *destination, const void *source, size_t count) {
    uint8_t *to = destination;
    const uint8_t *from = source;
    if (to <= from || to >= from + count) return memcpy(destination, source, count);
    while (count-- > 0) ((volatile uint8_t *)to)[count] = from[count];
    return destination;
}

void *memset(void *destination, int value, size_t count) {
    void *result = destination;
    __asm__ volatile("rep stosb" : "+D"(destination), "+c"(count) : "a"(value) : "memory");
    return result;
}

int memcmp(const void *a, const void *b, size_t count) {
    const uint8_t *left = a, *right = b;
    for (size_t i = 0; i < count; i++) {
        if (left[i] != right[i]) return left[i] < right[i] ? -1 : 1;
    }
    return 0;
}

// DIV takes a 64-bit dividend but traps when the quotient has more than 32 bits: so divide the high half
// first.
static uint64_t divide_by_word(uint64_t dividend, uint32_t divisor, uint32_t *remainder) {
    uint32_t high = (uint32_t)(dividend >> 32), low = (uint32_t)dividend;
    uint32_t high_quotient = high / divisor, rest = high % divisor;
    __asm__("divl %2" : "+a"(low), "+d"(rest) : "r"(divisor) : "cc");
    *remainder = rest;
    return ((uint64_t)high_quotient << 32) | low;
}

// With a divisor above 32 bits the quotient has fewer than 32: schoolbook division, a bit at a time.
static uint64_t divide(uint64_t dividend, uint64_t divisor, uint64_t *remainder) {
    if ((divisor >> 32) == 0) {
        uint32_t rest;
        uint64_t quotient = divide_by_word(dividend, (uint32_t)divisor, &rest);
        *remainder = rest;
        return quotient;
    }
    uint64_t quotient = 0, rest = 0;
    for (int bit = 63; bit >= 0; bit--) {
        rest = (rest << 1) | ((dividend >> bit) & 1);
        if (rest >= divisor) {
            rest -= divisor;
            quotient |= 1ull << bit;
        }
    }
    *remainder = rest;
    return quotient;
}

uint64_t __udivdi3(uint64_t dividend, uint64_t divisor) {
    uint64_t remainder;
    return divide(dividend, divisor, &remainder);
}

uint64_t __umoddi3(uint64_t dividend, uint64_t divisor) {
    uint64_t remainder;
    divide(dividend, divisor, &remainder);
    return remainder;
}
