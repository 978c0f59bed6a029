// SPDX-License-Identifier: Apache-2.0
//
// What lies on the stack while Swift handles a trap: registers saved by TrapEntries.S, then the words that
// the hypervisor pushed in the manner of the processor.
#ifndef GUEST_TRAP_FRAME_H
#define GUEST_TRAP_FRAME_H

#include "Instructions.h"

struct trap_frame {
    uint32_t gs, fs, es, ds;
    uint32_t edi, esi, ebp, esp_ignored, ebx, edx, ecx, eax;
    uint32_t vector;
    uint32_t error;                // 0 where the vector has no error code
    uint32_t eip, cs, eflags;
    uint32_t user_esp, user_ss;    // only when the trap came from ring 3
};

extern const uint8_t noirq_iret[];
INLINE uint32_t noirq_iret_address(void) { return (uint32_t)noirq_iret; }
extern const uint32_t trap_entries[48];
extern const uint8_t trap_entry_system_call[];

// Address of the assembly entry for a vector, 0 when there is none.
INLINE uint32_t trap_entry_address(uint32_t vector) {
    if (vector == 0x80) return (uint32_t)trap_entry_system_call;
    return vector < 48 ? trap_entries[vector] : 0;
}

// Runs `entry(a1, a2)` (arguments in EAX and EDX, result in EAX) so that a trap inside it can be abandoned:
// the handler sends EIP to `probe_abandon`, and run_probe returns as if the fragment had ended.
uint32_t run_probe(uint32_t entry, uint32_t a1, uint32_t a2);
extern const uint8_t probe_abandon[];
INLINE uint32_t probe_abandon_address(void) { return (uint32_t)probe_abandon; }

// Starts ring 3 at `eip` with EAX = `argument`, and returns when a handler sends EIP to `user_abandon`.
void enter_user(uint32_t eip, uint32_t esp, uint32_t argument);
extern const uint8_t user_abandon[];
INLINE uint32_t user_abandon_address(void) { return (uint32_t)user_abandon; }

#endif
