// SPDX-License-Identifier: Apache-2.0
//
// The two kinds of address a kernel juggles, as two types, so that they cannot be mixed up. The hypervisor
// knows only physical addresses (its hypercalls take them); the processor knows only virtual ones.
import Machine

/// An address in the guest's memory as the hypervisor sees it ("guest-physical").
struct PhysicalAddress: Equatable {
    var value: UInt32

    /// Where the kernel reaches it: all memory appears from `PAGE_OFFSET` on.
    var inKernel: VirtualAddress { VirtualAddress(value: value &+ UInt32(PAGE_OFFSET)) }

    /// The start of the page that holds it.
    var page: PhysicalAddress { PhysicalAddress(value: value & ~0xFFF) }

    static func + (address: PhysicalAddress, offset: UInt32) -> PhysicalAddress {
        PhysicalAddress(value: address.value &+ offset)
    }
}

/// An address as instructions use it, translated by the current page tables.
struct VirtualAddress: Equatable {
    var value: UInt32

    /// The physical address behind a kernel address (the opposite of `PhysicalAddress.inKernel`).
    var physical: PhysicalAddress { PhysicalAddress(value: value &- UInt32(PAGE_OFFSET)) }

    var page: VirtualAddress { VirtualAddress(value: value & ~0xFFF) }

    static func + (address: VirtualAddress, offset: UInt32) -> VirtualAddress {
        VirtualAddress(value: address.value &+ offset)
    }
}
