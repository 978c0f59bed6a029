// SPDX-License-Identifier: Apache-2.0
//
// Reading and writing memory at a bare address. A kernel has to: page tables, virtqueues and boot parameters
// are where they are.
//
// Safety: nothing is checked. A wrong address ends in a page fault, which Traps.swift reports with the
// address. Every access is volatile, so values that the hypervisor or a device changes are never stale.
import Machine

enum Memory {
    static func read8(_ address: VirtualAddress) -> UInt8 { memory_read8(address.value) }
    static func read16(_ address: VirtualAddress) -> UInt16 { memory_read16(address.value) }
    static func read32(_ address: VirtualAddress) -> UInt32 { memory_read32(address.value) }
    static func write8(_ address: VirtualAddress, _ value: UInt8) { memory_write8(address.value, value) }
    static func write16(_ address: VirtualAddress, _ value: UInt16) { memory_write16(address.value, value) }
    static func write32(_ address: VirtualAddress, _ value: UInt32) { memory_write32(address.value, value) }

    static func read32(_ address: PhysicalAddress) -> UInt32 { read32(address.inKernel) }
    static func write32(_ address: PhysicalAddress, _ value: UInt32) { write32(address.inKernel, value) }

    static func copy(from source: VirtualAddress, to target: VirtualAddress, count: UInt32) {
        memory_copy(target.value, source.value, count)
    }

    static func clear(_ address: VirtualAddress, count: UInt32) { memory_clear(address.value, count) }
}
