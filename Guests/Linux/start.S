// SPDX-License-Identifier: Apache-2.0
//
// The first instructions of a Linux program without a C library: the stack holds what the kernel left there.
    .text
    .globl _start
_start:
    xorl %ebp, %ebp
    andl $-16, %esp
    call run
    ud2
    .section .note.GNU-stack, "", @progbits
