// SPDX-License-Identifier: Apache-2.0
//
// The two ways between the server's 64-bit code and a case's 32-bit code: in by IRETQ, which loads flags,
// stack and instruction pointer at once; out by a far jump, or by a signal.

#if defined(__x86_64__)
    .text

// int oracle_enter(const struct oracle_entry *entry): see oracle.c for the layout.
    .globl oracle_enter
    .hidden oracle_enter
    .type oracle_enter, @function
oracle_enter:
    pushq %rbx
    pushq %rbp
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, oracle_host_rsp(%rip)
    rdfsbase %rax
    movq %rax, oracle_host_fsbase(%rip)
    movq %rdi, %r15
    movw 40(%r15), %ds
    movw 42(%r15), %es
    movw 44(%r15), %fs
    movw 46(%r15), %gs
    movq oracle_frame(%rip), %rsp
    movzwl 38(%r15), %eax
    pushq %rax                  // SS
    movl 16(%r15), %eax
    pushq %rax                  // ESP
    movl 32(%r15), %eax
    pushq %rax                  // EFLAGS
    movzwl 36(%r15), %eax
    pushq %rax                  // CS
    movl 48(%r15), %eax
    pushq %rax                  // EIP
    movl 0(%r15), %eax
    movl 4(%r15), %ecx
    movl 8(%r15), %edx
    movl 12(%r15), %ebx
    movl 20(%r15), %ebp
    movl 24(%r15), %esi
    movl 28(%r15), %edi
    iretq
    .size oracle_enter, . - oracle_enter

// Where the far jump at the end of a case arrives, by way of the page at ORACLE_EXIT.
    .globl oracle_leave
    .hidden oracle_leave
    .type oracle_leave, @function
oracle_leave:
    movl %eax, oracle_out+0(%rip)
    movl %ecx, oracle_out+4(%rip)
    movl %edx, oracle_out+8(%rip)
    movl %ebx, oracle_out+12(%rip)
    movl %esp, oracle_out+16(%rip)
    movl %ebp, oracle_out+20(%rip)
    movl %esi, oracle_out+24(%rip)
    movl %edi, oracle_out+28(%rip)
    movw %ss, oracle_out+38(%rip)
    movq oracle_host_rsp(%rip), %rsp
    pushfq
    popq %rax
    movl %eax, oracle_out+32(%rip)
    pushq $2
    popfq
    cld
    movw %ds, oracle_out+40(%rip)
    movw %es, oracle_out+42(%rip)
    movw %fs, oracle_out+44(%rip)
    movw %gs, oracle_out+46(%rip)
    movl $0x2B, %eax
    movw %ax, %ss
    movq oracle_host_fsbase(%rip), %rax
    wrfsbase %rax
    fxsave64 oracle_fpu_out(%rip)
    xorl %eax, %eax
    jmp 1f
// Goes on behind `oracle_enter` with the result 1, from within a signal handler.
    .globl oracle_unwind
    .hidden oracle_unwind
oracle_unwind:
    movq oracle_host_rsp(%rip), %rsp
    movl $1, %eax
1:  popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbp
    popq %rbx
    ret
    .size oracle_leave, . - oracle_leave

// The signal handler: puts back what C code needs, notes the segments, and calls it.
    .globl oracle_signal
    .hidden oracle_signal
    .type oracle_signal, @function
oracle_signal:
    pushq $2
    popfq
    movw %ds, oracle_out+40(%rip)
    movw %es, oracle_out+42(%rip)
    movw %fs, oracle_out+44(%rip)
    movw %gs, oracle_out+46(%rip)
    movq oracle_host_fsbase(%rip), %rax
    wrfsbase %rax
    subq $8, %rsp
    call oracle_caught
    ud2
    .size oracle_signal, . - oracle_signal

    .section .note.GNU-stack,"",@progbits
#endif
