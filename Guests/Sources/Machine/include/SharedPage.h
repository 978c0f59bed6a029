// SPDX-License-Identifier: Apache-2.0
//
// `struct lguest_data`: the one piece of memory that guest and hypervisor both read and write (generation G8
// of the ABI). The guest tells its address with the first hypercall. Swift reaches it through the accessors
// below, which are volatile because the other side changes fields behind the compiler's back.
#ifndef GUEST_SHARED_PAGE_H
#define GUEST_SHARED_PAGE_H

#include "Instructions.h"

#define RING_SIZE 64

struct lguest_hypercall_entry {
    uint32_t number, a1, a2, a3, a4;
};

struct lguest_data {
    uint32_t irq_enabled;         // the virtual interrupt flag: 0x200 or 0 (only bit 9 counts)
    uint32_t blocked_interrupts;  // bit n holds back interrupt n
    uint32_t cr2;                 // address of the latest page fault
    uint32_t time_seconds;        // wall clock, refreshed whenever an interrupt is delivered
    uint32_t time_nanoseconds;
    uint32_t irq_pending;         // 0x200 when an interrupt waits for the flag to be set
    uint8_t hcall_status[RING_SIZE];  // 0xFF: slot free; anything else: call waiting
    struct lguest_hypercall_entry hcalls[RING_SIZE];
    uint32_t reserve_mem;     // bytes at the top of the address space that we must leave alone
    uint32_t tsc_khz;         // how fast `rdtsc` counts
    uint32_t noirq_iret;      // address of our one `iret`, see TrapEntries.S
    uint32_t kernel_address;  // PAGE_OFFSET
    uint32_t syscall_vec;     // 0x80
};

_Static_assert(sizeof(struct lguest_data) == 0x56C, "generation G8 of the ABI has exactly this size");
_Static_assert(__builtin_offsetof(struct lguest_data, hcalls) == 0x58, "fixed by the ABI");
_Static_assert(__builtin_offsetof(struct lguest_data, noirq_iret) == 0x560, "G8, not G7");

extern struct lguest_data lguest_data;

#define SHARED_FIELD(field)                                                                              \
    INLINE uint32_t shared_get_##field(void) {                                                    \
        return ((volatile struct lguest_data *)&lguest_data)->field;                                     \
    }                                                                                                    \
    INLINE void shared_set_##field(uint32_t value) {                                              \
        ((volatile struct lguest_data *)&lguest_data)->field = value;                                    \
    }

SHARED_FIELD(irq_enabled)
SHARED_FIELD(blocked_interrupts)
SHARED_FIELD(cr2)
SHARED_FIELD(time_seconds)
SHARED_FIELD(time_nanoseconds)
SHARED_FIELD(irq_pending)
SHARED_FIELD(reserve_mem)
SHARED_FIELD(tsc_khz)
SHARED_FIELD(noirq_iret)
SHARED_FIELD(kernel_address)
SHARED_FIELD(syscall_vec)

INLINE uint8_t shared_ring_status(uint32_t slot) {
    return ((volatile struct lguest_data *)&lguest_data)->hcall_status[slot % RING_SIZE];
}

INLINE void shared_set_ring_status(uint32_t slot, uint8_t status) {
    ((volatile struct lguest_data *)&lguest_data)->hcall_status[slot % RING_SIZE] = status;
}

INLINE void shared_set_ring_entry(
    uint32_t slot, uint32_t number, uint32_t a1, uint32_t a2, uint32_t a3, uint32_t a4
) {
    volatile struct lguest_hypercall_entry *entry =
        &((volatile struct lguest_data *)&lguest_data)->hcalls[slot % RING_SIZE];
    entry->number = number;
    entry->a1 = a1;
    entry->a2 = a2;
    entry->a3 = a3;
    entry->a4 = a4;
}

INLINE uint32_t shared_page_address(void) { return (uint32_t)&lguest_data; }

// 128 bytes for the last words: SHUTDOWN reads exactly that many.
extern uint8_t shutdown_text[128];
INLINE uint32_t shutdown_text_address(void) { return (uint32_t)shutdown_text; }

#endif
