// SPDX-License-Identifier: Apache-2.0
//
// The first instructions. The hypervisor starts us in ring 1 with flat segments, every address standing for
// the equal guest-physical address ("linear mode"), no stack, no interrupt table: any mistake here ends the
// guest.
//
//   1. note what the registers hold              (the conformance suite checks it later)
//   2. hypercall LGUEST_INIT: hand over the shared page
//   3. hypercall NEW_PGTABLE: hand over the first page table, which ends linear mode
//   4. jump to our linked address above PAGE_OFFSET, and into Swift
//
// The image is linked at PAGE_OFFSET but loaded low, so until step 4 every symbol needs P().
#include "Layout.h"
#define P(symbol) ((symbol) - PAGE_OFFSET)

    .section .text.start, "ax"
    .globl lguest_entry
lguest_entry:
    // MOV leaves the flags alone, so PUSHF further down still sees the first ones.
    movl %eax, P(start_state + 0)
    movl %ecx, P(start_state + 4)
    movl %edx, P(start_state + 8)
    movl %ebx, P(start_state + 12)
    movl %esp, P(start_state + 16)
    movl %ebp, P(start_state + 20)
    movl %esi, P(start_state + 24)
    movl %edi, P(start_state + 28)
    movl %cs, %eax
    movl %eax, P(start_state + 32)
    movl %ds, %eax
    movl %eax, P(start_state + 36)
    movl %es, %eax
    movl %eax, P(start_state + 40)
    movl %ss, %eax
    movl %eax, P(start_state + 44)
    movl %fs, %eax
    movl %eax, P(start_state + 48)
    movl %gs, %eax
    movl %eax, P(start_state + 52)
    movl $P(boot_stack_top), %esp
    pushfl
    popl P(start_state + 56)

    // Linux kernels with the stack protector read %gs:0x14 before they announce themselves. A null GS would
    // end us right here, so try only where the hypervisor gave us more than null.
    movl %gs, %eax
    testl %eax, %eax
    jz 1f
    movl %gs:0x14, %eax
    movl $1, P(start_state + 60)
1:
    // 1:1 translation reaches any page, not only our image.
    movl $LINEAR_MARK, LINEAR_MARK_ADDRESS

    // Memory arrives zeroed, but a loader that reuses it need not promise that for our .bss.
    cld
    xorl %eax, %eax
    movl $P(bss_start), %edi
    movl $P(bss_end), %ecx
    subl %edi, %ecx
    shrl $2, %ecx
    rep stosl

    // One word of the command line matters now already: `pae` chooses the format of the page tables, which
    // the hypervisor recognises at the first NEW_PGTABLE. ESI points at boot_params. Words behind `run=` are
    // not ours.
    movl $P(boot_page_directory), %ebp
    movl 0x228(%esi), %edx
next_word:
    movl (%edx), %ecx
    cmpl $0x3D6E7572, %ecx          // "run="
    je chosen
    movl %ecx, %eax
    andl $0x00FFFFFF, %eax
    cmpl $0x00656170, %eax          // "pae" and then a blank or the end
    jne skip_word
    shrl $24, %ecx
    cmpl $' ', %ecx
    ja skip_word
    movl $1, P(start_state + 68)
    movl $P(boot_pointer_table), %ebp
    jmp chosen
skip_word:
    movb (%edx), %al
    testb %al, %al
    jz chosen
    incl %edx
    cmpb $' ', %al
    jne skip_word
    jmp next_word
chosen:

    movl $CALL_LGUEST_INIT, %eax
    movl $P(lguest_data), %ebx
    int $HYPERCALL_VECTOR
    movl %eax, P(start_state + 64)

    movl $CALL_NEW_PGTABLE, %eax
    movl %ebp, %ebx
    int $HYPERCALL_VECTOR

    // The table maps us twice, low and at PAGE_OFFSET, so this code goes on running while we leave it.
    movl $boot_stack_top, %esp
    movl $high, %eax
    jmp *%eax
high:
    xorl %ebp, %ebp                 // the end of every stack trace
    pushl $0
    call guest_main
    ud2

// Registers at the first instruction; the order is `struct start_state`. In .data, since .bss is cleared
// above.
    .section .data.start, "aw"
    .globl start_state
    .align 4
start_state:
    .fill 18, 4, 0

// The first page table, in both formats, written out by the assembler: the first 4 MiB of memory, once at
// address 0 and once at PAGE_OFFSET. Low bits: 1 present, 2 writable, 0x20 accessed, 0x40 dirty.
    .section .data.tables, "aw"
    .align PAGE_BYTES
boot_page_directory:
    .long P(boot_page_table) + 0x063
    .fill (PAGE_OFFSET >> 22) - 1, 4, 0
    .long P(boot_page_table) + 0x063
    .fill 1024 - (PAGE_OFFSET >> 22) - 1, 4, 0
boot_page_table:
    .set frame, 0
    .rept 1024
    .long frame + 0x003
    .set frame, frame + PAGE_BYTES
    .endr

// With PAE entries have 8 bytes and there are three levels; the top one has four entries of 1 GiB each, which
// may carry no bit but "present". Both the lowest and the highest GiB go through the same middle page.
boot_middle_table:
    .long P(boot_pae_tables) + 0x063, 0
    .long P(boot_pae_tables) + PAGE_BYTES + 0x063, 0
    .fill 510, 8, 0
boot_pae_tables:
    .set frame, 0
    .rept 1024
    .long frame + 0x003, 0
    .set frame, frame + PAGE_BYTES
    .endr
boot_pointer_table:
    .long P(boot_middle_table) + 1, 0
    .fill 2, 8, 0
    .long P(boot_middle_table) + 1, 0

// Two stacks: one for the kernel's own thread, one that the hypervisor switches to when ring 3 traps
// (SET_STACK).
    .section .bss.stacks, "aw", @nobits
    .globl boot_stack_top, trap_stack_top
    .align PAGE_BYTES
    .fill 8 * PAGE_BYTES
boot_stack_top:
    .fill 2 * PAGE_BYTES
trap_stack_top:

    .section .note.GNU-stack, "", @progbits
