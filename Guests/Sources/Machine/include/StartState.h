// SPDX-License-Identifier: Apache-2.0
//
// What Start.S found in the processor at the very first instruction, kept for the conformance suite, and a
// few addresses that only the linker knows.
#ifndef GUEST_START_STATE_H
#define GUEST_START_STATE_H

#include "Instructions.h"

// The order is known to Start.S.
struct start_state {
    uint32_t eax, ecx, edx, ebx, esp, ebp, esi, edi;
    uint32_t cs, ds, es, ss, fs, gs;
    uint32_t eflags;
    uint32_t gs_was_read;        // 1 when %gs:0x14 could be read before any set-up
    uint32_t eax_after_init;     // EAX as LGUEST_INIT left it
    uint32_t physical_extension; // 1 when the command line says `pae`
};

extern struct start_state start_state;
INLINE struct start_state start_state_copy(void) { return start_state; }

extern const uint8_t image_start[], image_end[], boot_stack_top[], trap_stack_top[];
extern const uint8_t user_text_start[];
INLINE uint32_t image_start_address(void) { return (uint32_t)image_start; }
INLINE uint32_t image_end_address(void) { return (uint32_t)image_end; }
INLINE uint32_t boot_stack_top_address(void) { return (uint32_t)boot_stack_top; }
INLINE uint32_t trap_stack_top_address(void) { return (uint32_t)trap_stack_top; }
INLINE uint32_t user_text_start_address(void) { return (uint32_t)user_text_start; }

#endif
