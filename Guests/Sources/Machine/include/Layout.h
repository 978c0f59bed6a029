// SPDX-License-Identifier: Apache-2.0
//
// The numbers on which assembly, C, Swift and the linker script must agree. Assembly includes this file too,
// so it holds nothing but plain #defines.
#ifndef GUEST_LAYOUT_H
#define GUEST_LAYOUT_H

// Guest-physical address 0 appears here in every address space. Everything above belongs to the kernel.
#define PAGE_OFFSET 0xC0000000
#define PAGE_BYTES 4096

// Segment selectors. The kernel runs in ring 1, so that ring 0 stays the hypervisor's; programs run in ring
// 3.
#define KERNEL_CODE 0x61
#define KERNEL_DATA 0x69
#define USER_CODE 0x73
#define USER_DATA 0x7B

// `int $0x1F` is the hypercall. The three calls that the first instructions need are numbered here, all
// others in Hypercalls.swift.
#define HYPERCALL_VECTOR 0x1F
#define CALL_LGUEST_INIT 1
#define CALL_NEW_PGTABLE 4
#define SYSTEM_CALL_VECTOR 0x80

// Where a user program finds its code, its data and the top of its stack.
#define USER_TEXT 0x00400000
#define USER_DATA_PAGE 0x00500000
#define USER_STACK_TOP 0x00601000

// A guest-physical page that nobody uses: the first instructions leave a mark there while addresses are still
// translated 1:1, and the conformance suite looks for it later through the page tables.
#define LINEAR_MARK_ADDRESS 0x3000
#define LINEAR_MARK 0x1EA51EA5

#endif
