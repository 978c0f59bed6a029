// SPDX-License-Identifier: Apache-2.0
//
// Where traps and interrupts arrive. Each vector has an entry of its own that pushes what the others lack, so
// that Swift sees one `struct trap_frame` for all of them; then the way back, which is where a paravirtual
// kernel differs from an ordinary one.
#include "Layout.h"

    .text
    .macro TRAP_ENTRY vector
    .align 8
trap_entry_\vector:
    // These vectors come with an error code; for the others a zero keeps the frame's shape.
    .if !(\vector == 8 || (\vector >= 10 && \vector <= 14) || \vector == 17)
    pushl $0
    .endif
    pushl $\vector
    jmp trap_common
    .endm

    .altmacro
    .set number, 0
    .rept 48
    TRAP_ENTRY %number
    .set number, number + 1
    .endr

    .globl trap_entry_system_call
    .align 8
trap_entry_system_call:
    pushl $0
    pushl $SYSTEM_CALL_VECTOR

trap_common:
    pushal
    pushl %ds
    pushl %es
    pushl %fs
    pushl %gs
    movl $KERNEL_DATA, %eax
    movl %eax, %ds
    movl %eax, %es
    cld
    movl %esp, %eax
    pushl %eax
    call handle_trap
    addl $4, %esp
    popl %gs
    popl %fs
    popl %es
    popl %ds
    popal
    addl $8, %esp                   // vector and error code

// An ordinary kernel ends here with IRET, which restores the interrupt flag. In ring 1 IRET cannot do that,
// so the virtual flag is restored first, from the flags that IRET is about to pop. Between the two
// instructions an interrupt would find flag and stack in disagreement; the hypervisor knows the address
// `noirq_iret` and takes care. The whole word is stored, as Linux does: only bit 9 counts.
trap_return:
    pushl 8(%esp)
    popl %ss:lguest_data            // irq_enabled is its first field; DS may be the user's already
    .globl noirq_iret
noirq_iret:
    iretl

// run_probe(entry, a1, a2), see TrapFrame.h.
    .globl run_probe, probe_abandon
run_probe:
    pushl %ebp
    pushl %ebx
    pushl %esi
    pushl %edi
    movl %esp, probe_stack
    movl 20(%esp), %ecx
    movl 24(%esp), %eax
    movl 28(%esp), %edx
    call *%ecx
probe_abandon:
    movl probe_stack, %esp
    cld
    xorl %ecx, %ecx                 // fragments may leave odd selectors behind
    movl %ecx, %fs
    movl %ecx, %gs
    popl %edi
    popl %esi
    popl %ebx
    popl %ebp
    ret

// enter_user(eip, esp, argument), see TrapFrame.h. Ring 3 is entered by returning to it.
    .globl enter_user, user_abandon
enter_user:
    pushl %ebp
    pushl %ebx
    pushl %esi
    pushl %edi
    movl %esp, user_stack
    movl 20(%esp), %ecx
    movl 24(%esp), %edx
    movl 28(%esp), %eax
    pushl $USER_DATA
    pushl %edx
    pushl $0x202
    pushl $USER_CODE
    pushl %ecx
    movl $USER_DATA, %ecx
    movl %ecx, %ds
    movl %ecx, %es
    jmp trap_return
user_abandon:
    movl $KERNEL_DATA, %ecx
    movl %ecx, %ds
    movl %ecx, %es
    movl user_stack, %esp
    cld
    xorl %ecx, %ecx
    movl %ecx, %fs
    movl %ecx, %gs
    popl %edi
    popl %esi
    popl %ebx
    popl %ebp
    ret

    .section .rodata
    .globl trap_entries
    .align 4
trap_entries:
    .macro TRAP_ADDRESS vector
    .long trap_entry_\vector
    .endm
    .set number, 0
    .rept 48
    TRAP_ADDRESS %number
    .set number, number + 1
    .endr

    .bss
    .align 4
probe_stack:
    .fill 1, 4, 0
user_stack:
    .fill 1, 4, 0

    .section .note.GNU-stack, "", @progbits
