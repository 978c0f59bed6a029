// SPDX-License-Identifier: Apache-2.0
//
// The shared page itself. Everything the hypervisor needs to know from the start is filled in by the linker,
// so the very first hypercall can already hand it over; the hypervisor recognises the ABI generation by this
// layout.
#include "SharedPage.h"
#include "Layout.h"
#include "TrapFrame.h"

__attribute__((aligned(PAGE_BYTES))) struct lguest_data lguest_data = {
    .irq_enabled = 0,
    .blocked_interrupts = 1,  // the timer, until Timer.swift is ready for it
    .hcall_status = {[0 ... RING_SIZE - 1] = 0xFF},
    .noirq_iret = (uint32_t)noirq_iret,
    .kernel_address = PAGE_OFFSET,
    .syscall_vec = SYSTEM_CALL_VECTOR,
};

uint8_t shutdown_text[128];

// How a hypervisor, or a person with `strings`, tells what this file is.
__attribute__((used, retain)) const char guest_banner[] =
    "lguest builtin guest version 1.0 (Embedded Swift, lguest ABI generation G8, i686)";

__attribute__((used, section(".note.lguest"), aligned(4))) static const struct {
    uint32_t name_bytes, description_bytes, type;
    char name[8];
    uint32_t generation;
} lguest_note = {7, 4, 1, "lguest", 8};
