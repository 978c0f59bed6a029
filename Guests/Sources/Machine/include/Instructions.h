// SPDX-License-Identifier: Apache-2.0
//
// Single instructions that Swift has no word for, and memory accesses that the compiler may neither drop nor
// repeat. Each is a function that is always inlined, so it costs in Swift what it costs in C.
#ifndef GUEST_INSTRUCTIONS_H
#define GUEST_INSTRUCTIONS_H

#include <stdint.h>

#define INLINE static inline __attribute__((always_inline))

// The hypercall: number in EAX, arguments in EBX, ECX, EDX, ESI. The hypervisor may read and write any memory
// meanwhile, hence "memory".
INLINE uint32_t instruction_hypercall(uint32_t number, uint32_t a1, uint32_t a2, uint32_t a3, uint32_t a4) {
    __asm__ volatile("int $0x1F" : "+a"(number) : "b"(a1), "c"(a2), "d"(a3), "S"(a4) : "memory");
    return number;
}

INLINE void instruction_barrier(void) { __asm__ volatile("" : : : "memory"); }
INLINE void instruction_pause(void) { __asm__ volatile("pause" : : : "memory"); }
INLINE void instruction_cli(void) { __asm__ volatile("cli" : : : "memory"); }
INLINE void instruction_hlt(void) { __asm__ volatile("hlt" : : : "memory"); }
INLINE void instruction_undefined(void) { __asm__ volatile("ud2" : : : "memory"); }
INLINE void instruction_breakpoint(void) { __asm__ volatile("int3" : : : "memory"); }

INLINE uint64_t instruction_rdtsc(void) {
    uint32_t low, high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high) : : "memory");
    return ((uint64_t)high << 32) | low;
}

struct cpuid_result {
    uint32_t eax, ebx, ecx, edx;
};

INLINE struct cpuid_result instruction_cpuid(uint32_t leaf) {
    struct cpuid_result result;
    __asm__ volatile("cpuid"
                     : "=a"(result.eax), "=b"(result.ebx), "=c"(result.ecx), "=d"(result.edx)
                     : "a"(leaf), "c"(0));
    return result;
}

INLINE uint64_t instruction_rdmsr(uint32_t index) {
    uint32_t low, high;
    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(index) : "memory");
    return ((uint64_t)high << 32) | low;
}

INLINE void instruction_wrmsr(uint32_t index, uint64_t value) {
    __asm__ volatile("wrmsr" : : "c"(index), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)) : "memory");
}

// Ports. The `in` functions take what EAX holds before and give all of EAX back, because the ABI says that
// only the addressed bytes may change.
INLINE uint32_t instruction_in8(uint16_t port, uint32_t eax) {
    __asm__ volatile("inb %%dx, %%al" : "+a"(eax) : "d"(port) : "memory");
    return eax;
}
INLINE uint32_t instruction_in16(uint16_t port, uint32_t eax) {
    __asm__ volatile("inw %%dx, %%ax" : "+a"(eax) : "d"(port) : "memory");
    return eax;
}
INLINE uint32_t instruction_in32(uint16_t port, uint32_t eax) {
    __asm__ volatile("inl %%dx, %%eax" : "+a"(eax) : "d"(port) : "memory");
    return eax;
}
INLINE uint32_t instruction_in8_0x64(uint32_t eax) {
    __asm__ volatile("inb $0x64, %%al" : "+a"(eax) : : "memory");
    return eax;
}
INLINE void instruction_out8(uint16_t port, uint32_t value) {
    __asm__ volatile("outb %%al, %%dx" : : "a"(value), "d"(port) : "memory");
}
INLINE void instruction_out16(uint16_t port, uint32_t value) {
    __asm__ volatile("outw %%ax, %%dx" : : "a"(value), "d"(port) : "memory");
}
INLINE void instruction_out32(uint16_t port, uint32_t value) {
    __asm__ volatile("outl %%eax, %%dx" : : "a"(value), "d"(port) : "memory");
}

// Device registers. A hypervisor has to carry out each of these accesses by looking at the instruction, and
// the ABI promises it plain moves between a register and memory, so they are spelt out instead of left to the
// compiler.
INLINE uint8_t device_read8(uint32_t address) {
    uint8_t value;
    __asm__ volatile("movb %1, %0" : "=q"(value) : "m"(*(volatile uint8_t *)address) : "memory");
    return value;
}
INLINE uint16_t device_read16(uint32_t address) {
    uint16_t value;
    __asm__ volatile("movw %1, %0" : "=r"(value) : "m"(*(volatile uint16_t *)address) : "memory");
    return value;
}
INLINE uint32_t device_read32(uint32_t address) {
    uint32_t value;
    __asm__ volatile("movl %1, %0" : "=r"(value) : "m"(*(volatile uint32_t *)address) : "memory");
    return value;
}
INLINE void device_write8(uint32_t address, uint8_t value) {
    __asm__ volatile("movb %0, %1" : : "q"(value), "m"(*(volatile uint8_t *)address) : "memory");
}
INLINE void device_write16(uint32_t address, uint16_t value) {
    __asm__ volatile("movw %0, %1" : : "r"(value), "m"(*(volatile uint16_t *)address) : "memory");
}
INLINE void device_write32(uint32_t address, uint32_t value) {
    __asm__ volatile("movl %0, %1" : : "r"(value), "m"(*(volatile uint32_t *)address) : "memory");
}

// Plain memory that the hypervisor or a device may change at any time.
INLINE uint8_t memory_read8(uint32_t address) { return *(volatile uint8_t *)address; }
INLINE uint16_t memory_read16(uint32_t address) { return *(volatile uint16_t *)address; }
INLINE uint32_t memory_read32(uint32_t address) { return *(volatile uint32_t *)address; }
INLINE void memory_clear(uint32_t address, uint32_t bytes) {
    __asm__ volatile("rep stosb" : "+D"(address), "+c"(bytes) : "a"(0) : "memory");
}
INLINE void memory_copy(uint32_t to, uint32_t from, uint32_t bytes) {
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(bytes) : : "memory");
}
INLINE void memory_write8(uint32_t address, uint8_t value) { *(volatile uint8_t *)address = value; }
INLINE void memory_write16(uint32_t address, uint16_t value) { *(volatile uint16_t *)address = value; }
INLINE void memory_write32(uint32_t address, uint32_t value) { *(volatile uint32_t *)address = value; }

// The access right bytes of a selector (0 when it is not visible from this ring).
INLINE uint32_t instruction_lar(uint32_t selector) {
    uint32_t rights = 0;
    __asm__ volatile("larl %1, %0\n\tjz 1f\n\txorl %0, %0\n1:" : "+r"(rights) : "r"(selector) : "cc");
    return rights;
}

INLINE uint32_t instruction_code_segment(void) {
    uint32_t selector;
    __asm__ volatile("movl %%cs, %0" : "=r"(selector));
    return selector;
}

INLINE uint32_t instruction_eflags(void) {
    uint32_t flags;
    __asm__ volatile("pushfl\n\tpopl %0" : "=r"(flags) : : "memory");
    return flags;
}

#endif
