// SPDX-License-Identifier: Apache-2.0
//
// Fragments that provoke one trap each in ring 1. run_probe calls them; a trap in them can be abandoned at
// any point, so they need not clean up. The label `at` marks the instruction that must trap, `after` the next
// one.
#include "Layout.h"

    .macro PROBE name
    .section .rodata
    .globl probe_\name
    .align 4
probe_\name:
    .long probe_\name\()_entry, probe_\name\()_at, probe_\name\()_after
    .text
probe_\name\()_entry:
    .endm

    PROBE divide
    xorl %edx, %edx
    xorl %ecx, %ecx
probe_divide_at:
    divl %ecx
probe_divide_after:
    ret

// The trap flag makes the processor stop behind the next instruction.
    PROBE step
    pushfl
    orl $0x100, (%esp)
    popfl
probe_step_at:
    nop
probe_step_after:
    movl $0x57E9, %eax
    ret

    PROBE breakpoint
    movl $0xB4EA, %eax
probe_breakpoint_at:
    int3
probe_breakpoint_after:
    ret

    PROBE overflow
    movl $0x7FFFFFFF, %eax
    incl %eax
probe_overflow_at:
    into
probe_overflow_after:
    ret

    PROBE no_overflow
    xorl %eax, %eax
probe_no_overflow_at:
    into
probe_no_overflow_after:
    ret

    PROBE bound
    movl $10, %eax
probe_bound_at:
    bound %eax, bound_limits
probe_bound_after:
    ret

    PROBE bound_inside
    movl $9, %eax
probe_bound_inside_at:
    bound %eax, bound_limits
probe_bound_inside_after:
    ret

    PROBE undefined
probe_undefined_at:
    ud2
probe_undefined_after:
    ret

    PROBE fpu
    xorl %eax, %eax
probe_fpu_at:
    fninit
probe_fpu_after:
    fld1
    fstps -4(%esp)
    movl -4(%esp), %eax             // 1.0 is 0x3F800000
    ret

    PROBE sti
probe_sti_at:
    sti
probe_sti_after:
    ret

    PROBE lidt
probe_lidt_at:
    lidt bound_limits
probe_lidt_after:
    ret

    PROBE rdmsr
    movl $0x8B, %ecx
probe_rdmsr_at:
    rdmsr
probe_rdmsr_after:
    ret

    PROBE wrmsr
    movl $0x8B, %ecx
    xorl %eax, %eax
    xorl %edx, %edx
probe_wrmsr_at:
    wrmsr
probe_wrmsr_after:
    ret

    PROBE read_cr0
probe_read_cr0_at:
    movl %cr0, %eax
probe_read_cr0_after:
    ret

    PROBE insb
    movl $bound_limits, %edi
    movl $0x1234, %edx
probe_insb_at:
    insb %dx, %es:(%edi)
probe_insb_after:
    ret

    PROBE int_unset
probe_int_unset_at:
    int $0x50
probe_int_unset_after:
    ret

    PROBE int_irq
probe_int_irq_at:
    int $0x21
probe_int_irq_after:
    ret

    PROBE load_fs
probe_load_fs_at:
    movl %eax, %fs
probe_load_fs_after:
    movl %fs, %eax
    ret

    PROBE load_ss
probe_load_ss_at:
    movl %eax, %ss
probe_load_ss_after:
    movl $KERNEL_DATA, %ecx
    movl %ecx, %ss
    ret

    PROBE read_fs
    movl %eax, %fs
probe_read_fs_at:
    movl %fs:(%edx), %eax
probe_read_fs_after:
    ret

    PROBE read_gs
    movl %eax, %gs
probe_read_gs_at:
    movl %gs:(%edx), %eax
probe_read_gs_after:
    ret

// Selector 0x60 asks for privilege 0; a far jump keeps the current ring all the same, so CS reads 0x61.
    PROBE far_jump
probe_far_jump_at:
    ljmpl $0x60, $probe_far_jump_after
probe_far_jump_after:
    movl %cs, %eax
    ret

    PROBE read
probe_read_at:
    movl (%eax), %eax
probe_read_after:
    ret

    PROBE write
probe_write_at:
    movl %edx, (%eax)
probe_write_after:
    ret

    PROBE jump
probe_jump_at:
    jmp *%eax
probe_jump_after:
    ret

    PROBE call
probe_call_at:
    call *%eax
probe_call_after:
    ret

    PROBE copy_up
    movl %eax, %esi
    movl %edx, %edi
    movl $64, %ecx
probe_copy_up_at:
    rep movsb
probe_copy_up_after:
    movl %ecx, %eax
    ret

    PROBE cli
    xorl %eax, %eax
probe_cli_at:
    cli
probe_cli_after:
    ret

// Every register but EAX and ESP gets a value of its own, then a hypercall that does nothing (FLUSH_ASYNC,
// 0).
    PROBE registers
    xorl %eax, %eax
    movl $0xB0B0B0B0, %ebx
    movl $0xC1C1C1C1, %ecx
    movl $0xD2D2D2D2, %edx
    movl $0x51515151, %esi
    movl $0xD1D1D1D1, %edi
    movl $0xB4B4B4B4, %ebp
    stc
probe_registers_at:
    int $HYPERCALL_VECTOR
probe_registers_after:
    sbbl $-1, %eax                  // 0 - (-1) - carry: 0 only with EAX 0 and the carry flag kept
    subl $0xB0B0B0B0, %ebx
    subl $0xC1C1C1C1, %ecx
    subl $0xD2D2D2D2, %edx
    subl $0x51515151, %esi
    subl $0xD1D1D1D1, %edi
    subl $0xB4B4B4B4, %ebp
    orl %ebx, %eax
    orl %ecx, %eax
    orl %edx, %eax
    orl %esi, %eax
    orl %edi, %eax
    orl %ebp, %eax
    ret

// Used by `crash triple` only: nobody comes back from here.
    PROBE stack_gone
    movl %eax, %esp
probe_stack_gone_at:
    pushl %eax
probe_stack_gone_after:
    ret

    .text
    .globl bench_loop
bench_loop:
    movl 4(%esp), %ecx
    xorl %eax, %eax
    xorl %edx, %edx
1:  addl %ecx, %eax
    xorl %edx, %eax
    roll $3, %eax
    addl $7, %edx
    leal 1(%edx), %edx
    testl %edx, %eax
    decl %ecx
    jnz 1b
    ret

    .data
    .align 4
bound_limits:
    .long 0, 9

    .section .note.GNU-stack, "", @progbits
