// SPDX-License-Identifier: Apache-2.0
//
// The notes of a core file: the processor's registers, who ran, and what the kernel says about itself for those who
// analyse its dumps (System V gABI, chapter 5; the records are those of 32-bit Linux).

import Support
import X86

enum CoreNotes {
    private static let status: UInt32 = 1  // NT_PRSTATUS
    private static let process: UInt32 = 3  // NT_PRPSINFO
    private static let extendedRegisters: UInt32 = 0x46E6_2B7F  // NT_PRXFPREG

    /// All notes, ready to be written.
    static func all(_ view: GuestView, _ tasks: TaskList, _ kernel: CoreKernel) -> [UInt8] {
        let task = tasks.current()
        var notes = note("CORE", status, statusRecord(view.cpu, pid: task.pid))
        notes += note("CORE", process, processRecord(task, kernel))
        notes += note("LINUX", extendedRegisters, (0..<512).map(view.cpu.floatingByte))
        if let text = kernelInformation(view) { notes += note("VMCOREINFO", 0, text) }
        return notes
    }

    private static func note(_ name: String, _ type: UInt32, _ record: [UInt8]) -> [UInt8] {
        let name = Array(name.utf8) + [0]
        var bytes = UInt32(name.count).littleEndianBytes + UInt32(record.count).littleEndianBytes
        bytes += type.littleEndianBytes
        bytes += padded(name) + padded(record)
        return bytes
    }

    private static func padded(_ bytes: [UInt8]) -> [UInt8] {
        bytes + [UInt8](repeating: 0, count: (4 - bytes.count % 4) % 4)
    }

    /// `struct elf_prstatus`, 144 bytes: the pid at 24, registers at 72.
    private static func statusRecord(_ cpu: CPU, pid: UInt32) -> [UInt8] {
        var record = [UInt8](repeating: 0, count: 144)
        record.set(pid, at: 24)
        let general = [
            GPR.ebx, GPR.ecx, GPR.edx, GPR.esi, GPR.edi, GPR.ebp, GPR.eax,
        ].map { cpu[r32: $0] }
        let selectors = [
            SegmentIndex.ds, SegmentIndex.es, SegmentIndex.fs, SegmentIndex.gs,
        ].map { UInt32(cpu[segment: $0].selector) }
        let rest = [
            UInt32.max, cpu.eip, UInt32(cpu[segment: SegmentIndex.cs].selector), cpu.eflags,
            cpu[r32: GPR.esp], UInt32(cpu[segment: SegmentIndex.ss].selector),
        ]
        for (index, value) in (general + selectors + rest).enumerated() {
            record.set(value, at: 72 + 4 * index)
        }
        return record
    }

    /// `struct elf_prpsinfo`, 124 bytes: the pid at 12, the name at 28, arguments at 44.
    private static func processRecord(_ task: GuestTask, _ kernel: CoreKernel) -> [UInt8] {
        var record = [UInt8](repeating: 0, count: 124)
        record[1] = UInt8(ascii: "R")
        record.set(task.pid, at: 12)
        // The program is the kernel: gdb compares this name with that of the file it is given.
        for (index, byte) in kernel.name.utf8.prefix(15).enumerated() { record[28 + index] = byte }
        for (index, byte) in "\(kernel.name) \(kernel.commandLine)".utf8.prefix(79).enumerated() {
            record[44 + index] = byte
        }
        return record
    }

    /// The text that a kernel with kexec keeps for its dumps; nil where there is none.
    private static func kernelInformation(_ view: GuestView) -> [UInt8]? {
        guard let data = view.symbols?.lookup(name: "vmcoreinfo_data"),
            let size = view.symbols?.lookup(name: "vmcoreinfo_size"), let count = view.word(size.address),
            count > 0, count <= 4096
        else { return nil }
        // An array in older kernels, a pointer to one in newer.
        let start = data.size == 4 ? view.word(data.address) : data.address
        guard let start else { return nil }
        let text = view.bytes(start, count: Int(count))
        return text.starts(with: Array("OSRELEASE=".utf8)) ? text : nil
    }
}

extension [UInt8] {
    /// Writes `value` little-endian at `offset`.
    mutating func set(_ value: UInt32, at offset: Int) {
        for (index, byte) in value.littleEndianBytes.enumerated() { self[offset + index] = byte }
    }
}
