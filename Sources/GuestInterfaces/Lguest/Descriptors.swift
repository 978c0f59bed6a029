// SPDX-License-Identifier: Apache-2.0
//
// The guest's descriptor tables. They live with us, not in guest memory: the guest hands over each
// entry by hypercall, and we adjust it so that nothing in it reaches ring 0 (docs: lguest ABI 4.1, 5.1).

import X86

extension LguestInterface {
    static let gdtEntries: UInt32 = 32
    static let firstTLS: UInt32 = 6

    /// Entries that belong to the host: the guest's values never take effect.
    private static let reservedEntries: UInt32 = 1 << 10 | 1 << 11 | 1 << 16 | 1 << 31

    func loadGDTEntry(_ index: UInt32, _ bits: UInt64, _ cpu: CPU) throws(GuestDeath) {
        guard index < LguestInterface.gdtEntries else {
            throw kill("too many gdt entries: LOAD_GDT_ENTRY for entry \(index), there are 32")
        }
        if LguestInterface.reservedEntries >> index & 1 != 0 { return }
        let adjusted = LguestInterface.adjusted(bits)
        guard adjusted != cpu.system.privateGDT[Int(index)] else { return }
        cpu.system.privateGDT[Int(index)] = adjusted
        cpu.descriptorChanged(Int(index))
        kernelStack = nil
        kernelCode = nil
        forgetSystemCalls()
    }

    /// Privilege 0 becomes 1, and the accessed bit is set so that loading never writes the table.
    static func adjusted(_ bits: UInt64) -> UInt64 {
        var result = bits | Descriptor.accessed
        if Descriptor(bits).dpl == 0 { result |= 1 << 45 }
        return result
    }

    /// LOAD_GDT of the generations up to 2.6.30: the whole table from guest memory.
    func loadGDT(_ table: UInt32, _ count: UInt32, _ cpu: CPU) throws(GuestDeath) {
        guard count <= LguestInterface.gdtEntries else {
            throw kill("too many gdt entries: LOAD_GDT with \(count)")
        }
        for index in 0..<count {
            try loadGDTEntry(index, try readGuest(UInt64(table) + UInt64(index) * 8, as: UInt64.self), cpu)
        }
    }

    func loadTLS(_ table: UInt32, _ cpu: CPU) throws(GuestDeath) {
        for n in 0..<UInt32(3) {
            let bits = try readGuest(UInt64(table) + UInt64(n) * 8, as: UInt64.self)
            try loadGDTEntry(LguestInterface.firstTLS + n, bits, cpu)
        }
    }

    func loadIDTEntry(_ vector: UInt32, _ low: UInt32, _ high: UInt32) throws(GuestDeath) {
        if vector == UInt32(Vector.nonMaskable) { keepNonMaskableGate(low, high) }
        // The host's own: NMI, double fault, spurious, and the hypercall gate.
        if [2, 8, 15, LguestInterface.hypercallVector].contains(vector) { return }
        guard vector < 256 else { throw kill("setting idt entry \(vector): there are 256") }
        if vector == UInt32(SystemCallGate.vector) { forgetSystemCalls() }
        guard high & 0x8000 != 0 else {
            idt[Int(vector)] = 0
            return
        }
        let type = high >> 8 & 0xF
        guard type == 0xE || type == 0xF else { throw kill("bad IDT type \(type) for vector \(vector)") }
        idt[Int(vector)] = UInt64(high) << 32 | UInt64(low)
    }

    /// Reads guest-physical memory on behalf of a hypercall.
    func readGuest<T: FixedWidthInteger & BitwiseCopyable>(_ address: UInt64, as type: T.Type)
        throws(GuestDeath) -> T
    {
        guard let value = try? memory.read(address, as: type) else {
            throw kill(
                "bad read address 0x\(String(address, radix: 16)), \(MemoryLayout<T>.size) bytes: outside guest memory"
            )
        }
        return value
    }
}
