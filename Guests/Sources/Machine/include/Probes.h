// SPDX-License-Identifier: Apache-2.0
//
// The fragments of Probes.S (run in ring 1) and UserPrograms.S (run in ring 3), each with three addresses:
// where it starts, the instruction that is expected to trap, and the instruction behind that one.
#ifndef GUEST_PROBES_H
#define GUEST_PROBES_H

#include <stdint.h>

struct probe {
    uint32_t entry, at, after;
};

// Ring 1. "a1" is EAX, "a2" is EDX, the result is EAX.
extern const struct probe probe_divide, probe_step, probe_breakpoint, probe_overflow, probe_no_overflow,
    probe_bound, probe_bound_inside, probe_undefined, probe_fpu,
    probe_sti, probe_lidt, probe_rdmsr, probe_wrmsr, probe_read_cr0, probe_insb,
    probe_int_unset,    // int $0x50, a vector without a gate
    probe_int_irq,      // int $0x21, the console's interrupt gate (DPL 0)
    probe_load_fs,      // FS = a1
    probe_load_ss,      // SS = a1
    probe_read_fs,      // FS = a1, result = FS:[a2]
    probe_read_gs,      // GS = a1, result = GS:[a2]
    probe_far_jump,     // CS = 0x60, result = CS
    probe_read,         // result = [a1]
    probe_write,        // [a1] = a2
    probe_jump,         // jump to a1
    probe_call,         // call a1, result as it returns it
    probe_copy_up,      // copies 64 bytes from a1 to a2 with rep movsb
    probe_cli,          // result = EIP distance, always 0
    probe_registers,    // hypercall FLUSH_ASYNC; result = 0 when only EAX could have changed
    probe_stack_gone;   // ESP = a1, then a push

// Ring 3. They end with system call 1 (result in EBX), or by the trap that they provoke.
extern const struct probe user_exit, user_calls, user_call_loop, user_divide, user_breakpoint, user_step,
    user_cli, user_in, user_hlt, user_hypercall, user_vmcall, user_sysenter, user_int_irq, user_read,
    user_write, user_jump, user_spin, user_flags, user_popf, user_rdtsc, user_cpuid, user_gs,
    user_load_kernel_data;

// Counts a1 down to zero, eight instructions a round, for the `bench` command.
uint32_t bench_loop(uint32_t rounds);

#endif
