// SPDX-License-Identifier: Apache-2.0
//
// Single instructions that Swift has no word for, and memory accesses that the compiler may neither drop nor
// repeat. Each is one `static inline` function, so it costs in Swift what it costs in C.
#ifndef GUEST_INSTRUCTIONS_H
#define GUEST_INSTRUCTIONS_H

#include <stdint.h>

// The hypercall: number in EAX, arguments in EBX, ECX, EDX, ESI. The hypervisor may read and write any memory
// meanwhile, hence "memory".
static inline uint32_t instruction_hypercall(uint32_t number, uint32_t a1, uint32_t a2, uint32_t a3, uint32_t a4) {
    __asm__ volatile("int $0x1F" : "+a"(number) : "b"(a1), "c"(a2), "d"(a3), "S"(a4) : "memory");
    return number;
}

static inline void instruction_barrier(void) { __asm__ volatile("" : : : "memory"); }
static inline void instruction_pause(void) { __asm__ volatile("pause" : : : "memory"); }
static inline void instruction_cli(void) { __asm__ volatile("cli" : : : "memory"); }
static inline void instruction_hlt(void) { __asm__ volatile("hlt" : : : "memory"); }
static inline void instruction_undefined(void) { __asm__ volatile("ud2" : : : "memory"); }
static inline void instruction_breakpoint(void) { __asm__ volatile("int3" : : : "memory"); }

static inline uint64_t instruction_rdtsc(void) {
    uint32_t low, high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high) : : "memory");
    return ((uint64_t)high << 32) | low;
}

struct cpuid_result {
    uint32_t eax, ebx, ecx, edx;
};

static inline struct cpuid_result instruction_cpuid(uint32_t leaf) {
    struct cpuid_result result;
    __asm__ volatile("cpuid"
                     : "=a"(result.eax), "=b"(result.ebx), "=c"(result.ecx), "=d"(result.edx)
                     : "a"(leaf), "c"(0));
    return result;
}

static inline uint64_t instruction_rdmsr(uint32_t index) {
    uint32_t low, high;
    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(index) : "memory");
    return ((uint64_t)high << 32) | low;
}

static inline void instruction_wrmsr(uint32_t index, uint64_t value) {
    __asm__ volatile("wrmsr" : : "c"(index), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)) : "memory");
}

// Ports. The `in` functions take what EAX holds before and give all of EAX back, because the ABI says that only
// the addressed bytes may change.
static inline uint32_t instruction_in8(uint16_t port, uint32_t eax) {
    __asm__ volatile("inb %%dx, %%al" : "+a"(eax) : "d"(port) : "memory");
    return eax;
}
static inline uint32_t instruction_in16(uint16_t port, uint32_t eax) {
    __asm__ volatile("inw %%dx, %%ax" : "+a"(eax) : "d"(port) : "memory");
    return eax;
}
static inline uint32_t instruction_in32(uint16_t port, uint32_t eax) {
    __asm__ volatile("inl %%dx, %%eax" : "+a"(eax) : "d"(port) : "memory");
    return eax;
}
static inline uint32_t instruction_in8_0x64(uint32_t eax) {
    __asm__ volatile("inb $0x64, %%al" : "+a"(eax) : : "memory");
    return eax;
}
static inline void instruction_out8(uint16_t port, uint32_t value) {
    __asm__ volatile("outb %%al, %%dx" : : "a"(value), "d"(port) : "memory");
}
static inline void instruction_out16(uint16_t port, uint32_t value) {
    __asm__ volatile("outw %%ax, %%dx" : : "a"(value), "d"(port) : "memory");
}
static inline void instruction_out32(uint16_t port, uint32_t value) {
    __asm__ volatile("outl %%eax, %%dx" : : "a"(value), "d"(port) : "memory");
}

// Device registers. A hypervisor has to carry out each of these accesses by looking at the instruction, and the
// ABI promises it plain moves between a register and memory, so they are spelt out instead of left to the compiler.
static inline uint8_t device_read8(uint32_t address) {
    uint8_t value;
    __asm__ volatile("movb %1, %0" : "=q"(value) : "m"(*(volatile uint8_t *)address) : "memory");
    return value;
}
static inline uint16_t device_read16(uint32_t address) {
    uint16_t value;
    __asm__ volatile("movw %1, %0" : "=r"(value) : "m"(*(volatile uint16_t *)address) : "memory");
    return value;
}
static inline uint32_t device_read32(uint32_t address) {
    uint32_t value;
    __asm__ volatile("movl %1, %0" : "=r"(value) : "m"(*(volatile uint32_t *)address) : "memory");
    return value;
}
static inline void device_write8(uint32_t address, uint8_t value) {
    __asm__ volatile("movb %0, %1" : : "q"(value), "m"(*(volatile uint8_t *)address) : "memory");
}
static inline void device_write16(uint32_t address, uint16_t value) {
    __asm__ volatile("movw %0, %1" : : "r"(value), "m"(*(volatile uint16_t *)address) : "memory");
}
static inline void device_write32(uint32_t address, uint32_t value) {
    __asm__ volatile("movl %0, %1" : : "r"(value), "m"(*(volatile uint32_t *)address) : "memory");
}

// Plain memory that the hypervisor or a device may change at any time.
static inline uint8_t memory_read8(uint32_t address) { return *(volatile uint8_t *)address; }
static inline uint16_t memory_read16(uint32_t address) { return *(volatile uint16_t *)address; }
static inline uint32_t memory_read32(uint32_t address) { return *(volatile uint32_t *)address; }
static inline void memory_write8(uint32_t address, uint8_t value) { *(volatile uint8_t *)address = value; }
static inline void memory_write16(uint32_t address, uint16_t value) { *(volatile uint16_t *)address = value; }
static inline void memory_write32(uint32_t address, uint32_t value) { *(volatile uint32_t *)address = value; }

// The access right bytes of a selector (0 when it is not visible from this ring).
static inline uint32_t instruction_lar(uint32_t selector) {
    uint32_t rights = 0;
    __asm__ volatile("larl %1, %0\n\tjz 1f\n\txorl %0, %0\n1:" : "+r"(rights) : "r"(selector) : "cc");
    return rights;
}

static inline uint32_t instruction_code_segment(void) {
    uint32_t selector;
    __asm__ volatile("movl %%cs, %0" : "=r"(selector));
    return selector;
}

static inline uint32_t instruction_eflags(void) {
    uint32_t flags;
    __asm__ volatile("pushfl\n\tpopl %0" : "=r"(flags) : : "memory");
    return flags;
}

#endif
