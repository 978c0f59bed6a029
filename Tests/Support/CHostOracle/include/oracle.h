// SPDX-License-Identifier: Apache-2.0
//
// Runs 32-bit user-mode instructions on the machine's own processor and says what they did.
//
// A child process (the server) maps code, data and stack below 1 MiB, enters 32-bit compatibility
// mode for each case through IRETQ and comes back through a far jump, or through the signal that
// the processor's exception became. Cases and results lie in memory that both processes share.

#ifndef LGUEST_ORACLE_H
#define LGUEST_ORACLE_H

#include <stdint.h>

// The linear addresses that every case sees. Nothing else below 4 GiB is mapped, except for two
// pages through which the processor comes and goes.
enum {
    ORACLE_READ_ONLY = 0xD000,   // one page that can be read only
    ORACLE_WINDOW = 0xE000,      // two pages to read and write; the first 64 KiB end with it
    ORACLE_WINDOW_SIZE = 0x2000,
    ORACLE_CODE = 0x20000,       // two pages to read and execute, filled with INT3
    ORACLE_CODE_SIZE = 0x2000,
    ORACLE_EXIT = 0x5A7E0000,
    ORACLE_FRAME = 0x5A7F0000,   // a 16-bit stack begins with this upper half of ESP
    ORACLE_CODE_BYTES = 64,
    ORACLE_PATCHES = 72,
    ORACLE_FORGOTTEN = 3,
    ORACLE_LDT_ENTRIES = 16,
    ORACLE_BATCH = 1024,
};

// Selectors that Linux gives to user programs.
enum { ORACLE_CS32 = 0x23, ORACLE_DS = 0x2B };

struct oracle_segment {
    uint32_t base, limit;
    uint16_t selector;
    uint16_t reserved;
};

struct oracle_patch {
    uint32_t address, value;
};

// Bytes of the window that count as zero after a case.
struct oracle_range {
    uint32_t address, count;
};

// One case: state before, and the instruction bytes.
struct oracle_case {
    uint32_t gpr[8];  // eax ecx edx ebx esp ebp esi edi
    uint32_t eflags;
    uint32_t eip;  // offset of the first byte in CS, inside the code pages; see oracle_ldt for bases
    uint16_t cs, ss, ds, es, fs, gs;
    uint8_t code_length, patch_count, uses_fpu, reserved;
    uint8_t code[ORACLE_CODE_BYTES];
    struct oracle_patch patches[ORACLE_PATCHES];  // written over the window before the case
    struct oracle_range forgotten[ORACLE_FORGOTTEN];
    uint8_t fpu[512] __attribute__((aligned(16)));  // FXSAVE image, if uses_fpu
};

struct oracle_result {
    uint32_t gpr[8];
    uint32_t eflags;
    uint32_t eip;  // of the next instruction, or as the exception frame has it
    uint16_t cs, ss, ds, es, fs, gs;
    int32_t trap;  // exception vector, or -1: ran to the end of the bytes
    uint32_t error_code;
    uint32_t cr2;
    uint32_t done;
    uint64_t window_hash;
    uint8_t fpu[512] __attribute__((aligned(16)));
};

struct oracle;

// Starts the server; `pristine` are the ORACLE_WINDOW_SIZE bytes that the window has before each case,
// followed by the 4096 bytes of the read-only page. NULL when the host cannot do it; `*why` then
// says what is missing.
struct oracle *oracle_start(const uint8_t *pristine, const char **why);
void oracle_stop(struct oracle *oracle);
// Whether the local descriptor table of `oracle_ldt` could be set up.
int oracle_has_ldt(const struct oracle *oracle);
// The descriptor with which entry `index` of the local descriptor table was made; 0 for none.
uint64_t oracle_ldt(int index);

// Limit of the segment 0x78, in which Linux keeps the number of the processor; the server stays on one.
uint32_t oracle_processor_limit(const struct oracle *oracle);

struct oracle_case *oracle_cases(struct oracle *oracle);
struct oracle_result *oracle_results(struct oracle *oracle);
// The window after the last case of a batch.
const uint8_t *oracle_window(struct oracle *oracle);
// Runs `count` cases, at most ORACLE_BATCH; returns how many have a result. Fewer than asked means that
// the server died of the next one; it has been started again.
int oracle_run(struct oracle *oracle, int count);
// The hash that `window_hash` holds.
uint64_t oracle_hash(const uint8_t *bytes, unsigned long count);
// FXSAVE image after FNINIT and with MXCSR as after reset.
void oracle_initial_fpu(uint8_t *image);

#endif
