// SPDX-License-Identifier: Apache-2.0
//
// Programs for ring 3. The page is mapped for users at USER_TEXT, away from where it is linked, so everything
// here is position-independent. System calls: EAX = 1 ends the program with EBX as its result; EAX = 2
// returns EBX + 1. A program starts with its argument in EAX.
#include "Layout.h"

    .macro USER name
    .section .rodata
    .globl user_\name
    .align 4
user_\name:
    .long user_\name\()_entry, user_\name\()_at, user_\name\()_after
    .section .usertext, "ax"
user_\name\()_entry:
    .endm

    .section .usertext, "ax"
    .globl user_text_start
user_text_start:

    USER exit
    movl %eax, %ebx
leave:
    movl $1, %eax
user_exit_at:
    int $SYSTEM_CALL_VECTOR
user_exit_after:
    ud2

// A system call may change EAX and nothing else. Result: 0 when that held.
    USER calls
    movl $0x10002000, %ebx
    movl $0xC1C1C1C1, %ecx
    movl $0xD2D2D2D2, %edx
    movl $0x51515151, %esi
    movl $0xD1D1D1D1, %edi
    movl $0xB4B4B4B4, %ebp
    movl $2, %eax
user_calls_at:
    int $SYSTEM_CALL_VECTOR
user_calls_after:
    subl $0x10002001, %eax
    subl $0x10002000, %ebx
    subl $0xC1C1C1C1, %ecx
    subl $0xD2D2D2D2, %edx
    subl $0x51515151, %esi
    subl $0xD1D1D1D1, %edi
    subl $0xB4B4B4B4, %ebp
    orl %eax, %ebx
    orl %ecx, %ebx
    orl %edx, %ebx
    orl %esi, %ebx
    orl %edi, %ebx
    orl %ebp, %ebx
    jmp leave

    USER call_loop
    movl %eax, %esi
1:  movl $2, %eax
user_call_loop_at:
    int $SYSTEM_CALL_VECTOR
user_call_loop_after:
    decl %esi
    jnz 1b
    jmp leave

    USER divide
    xorl %edx, %edx
    xorl %ecx, %ecx
user_divide_at:
    divl %ecx
user_divide_after:
    jmp leave

    USER breakpoint
user_breakpoint_at:
    int3
user_breakpoint_after:
    jmp leave

    USER step
    pushfl
    orl $0x100, (%esp)
    popfl
user_step_at:
    nop
user_step_after:
    jmp leave

    USER cli
user_cli_at:
    cli
user_cli_after:
    jmp leave

    USER in
    movl $0x64, %edx
user_in_at:
    inb %dx, %al
user_in_after:
    jmp leave

    USER hlt
user_hlt_at:
    hlt
user_hlt_after:
    jmp leave

    USER hypercall
    xorl %eax, %eax
user_hypercall_at:
    int $HYPERCALL_VECTOR
user_hypercall_after:
    jmp leave

    USER vmcall
    xorl %eax, %eax
user_vmcall_at:
    .byte 0x0F, 0x01, 0xC1
user_vmcall_after:
    jmp leave

    USER sysenter
user_sysenter_at:
    sysenter
user_sysenter_after:
    jmp leave

    USER int_irq
user_int_irq_at:
    int $0x21
user_int_irq_after:
    jmp leave

    USER read
user_read_at:
    movl (%eax), %ebx
user_read_after:
    jmp leave

    USER write
user_write_at:
    movl %eax, (%eax)
user_write_after:
    movl $0, %ebx
    jmp leave

    USER jump
user_jump_at:
    jmp *%eax
user_jump_after:
    jmp leave

// Waits until somebody (an interrupt handler) changes the first word of the data page.
    USER spin
user_spin_at:
    movl USER_DATA_PAGE, %ebx
user_spin_after:
    testl %ebx, %ebx
    jz user_spin_at
    jmp leave

    USER flags
    pushfl
user_flags_at:
    popl %ebx
user_flags_after:
    jmp leave

// POPF in ring 3 must not be able to clear the interrupt flag or to raise the I/O privilege level.
    USER popf
    pushfl
    andl $0xFFFFFDFF, (%esp)
    orl $0x3000, (%esp)
user_popf_at:
    popfl
user_popf_after:
    pushfl
    popl %ebx
    jmp leave

    USER rdtsc
user_rdtsc_at:
    rdtsc
user_rdtsc_after:
    movl %eax, %ebx
    orl %edx, %ebx
    jmp leave

    USER cpuid
    movl $0, %eax
user_cpuid_at:
    cpuid
user_cpuid_after:
    movl %eax, %ebx
    jmp leave

// GS = argument, result = its first word.
    USER gs
user_gs_at:
    movl %eax, %gs
user_gs_after:
    movl %gs:0, %ebx
    jmp leave

    USER load_kernel_data
    movl $KERNEL_DATA, %eax
user_load_kernel_data_at:
    movl %eax, %fs
user_load_kernel_data_after:
    jmp leave

    .section .note.GNU-stack, "", @progbits
