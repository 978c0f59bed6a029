// SPDX-License-Identifier: Apache-2.0
//
// Recognises a file by its first bytes, mainly to say kindly what it is when it is no kernel.

import Support

/// What a file is, as far as booting is concerned.
enum FileKind: Equatable {
    case elf32
    case bzImage
    /// A 64-bit x86 kernel.
    case elf64
    /// No kernel for us: why, and what to do.
    case other(reason: String, hint: String?)

    /// Looks at the beginning of `file`. Throws only when it cannot be read.
    init(_ file: InputFile) throws(LguestError) {
        let start = try file.bytes(0, count: min(file.size, 0x210))
        if start.starts(with: [0x7F, 0x45, 0x4C, 0x46]) {
            self = try Self.elf(start, file)
        } else if start.littleEndian(at: 0x202) == 0x5372_6448 as UInt32 {  // "HdrS"
            self = .bzImage
        } else {
            self = Self.notAKernel(start)
        }
    }

    /// Tells the ELF files apart by class, byte order and machine (System V gABI, chapter 4).
    private static func elf(_ start: [UInt8], _ file: InputFile) throws(LguestError) -> FileKind {
        guard start.count >= 52 else {
            return .other(reason: "truncated ELF file: it has only \(file.size.asByteCount)", hint: nil)
        }
        let machine: UInt16 = start.littleEndian(at: 18) ?? 0
        switch (start[4], start[5]) {
        case (1, 1) where machine == 3: break
        case (2, 1) where machine == 62:
            return try hasInterpreter64(start, file)
                ? .other(reason: "a 64-bit program, not a kernel", hint: nil)
                : .elf64
        case (1...2, 1...2):
            return .other(
                reason: "not a kernel for this machine: an ELF file for \(machineName(machine, start[5]))",
                hint: "guests are 32-bit x86 kernels")
        default:
            return .other(reason: "damaged ELF file: unknown class or byte order", hint: nil)
        }
        switch start.littleEndian(at: 16) as UInt16? {
        case ELF32File.executable, ELF32File.positionIndependent: return .elf32
        case 1: return .other(reason: "an object file (.o), not a kernel", hint: "take the linked vmlinux")
        case 4: return .other(reason: "a core dump, not a kernel", hint: nil)
        case let type:
            return .other(reason: "damaged ELF file: its type is number \(type ?? 0), not 2", hint: nil)
        }
    }

    /// Whether an ELF64 file names a dynamic linker, as programs do.
    private static func hasInterpreter64(_ start: [UInt8], _ file: InputFile) throws(LguestError) -> Bool {
        guard let offset: UInt64 = start.littleEndian(at: 32), let count: UInt16 = start.littleEndian(at: 56),
            start.littleEndian(at: 54) == 56 as UInt16
        else { return false }
        for index in 0..<UInt64(count) {
            let (position, overflow) = offset.addingReportingOverflow(index * 56)
            guard !overflow, file.contains(position, count: 4) else { return false }
            let type: UInt32? = try file.bytes(position, count: 4).littleEndian(at: 0)
            if type == ProgramHeader.interpreter { return true }
        }
        return false
    }

    private static func machineName(_ machine: UInt16, _ byteOrder: UInt8) -> String {
        // The numbers are big-endian in a file of that order.
        switch byteOrder == 2 ? machine.byteSwapped : machine {
        case 8: "MIPS"
        case 20, 21: "PowerPC"
        case 22: "S/390"
        case 40: "ARM"
        case 183: "arm64"
        case 243: "RISC-V"
        case let number: "machine number \(number)"
        }
    }

    /// What else people hand over by mistake.
    private static func notAKernel(_ start: [UInt8]) -> FileKind {
        let known: [(magic: [UInt8], name: String, hint: String?)] = [
            (
                [0x1F, 0x8B], "gzip data",
                "an initrd goes to --initrd=FILE, a vmlinux.gz must be unpacked first"
            ),
            ([0xFD, 0x37, 0x7A, 0x58, 0x5A], "xz data", "an initrd goes to --initrd=FILE"),
            ([0x42, 0x5A, 0x68], "bzip2 data", nil),
            ([0x28, 0xB5, 0x2F, 0xFD], "zstd data", "an initrd goes to --initrd=FILE"),
            ([0x30, 0x37, 0x30, 0x37, 0x30], "a cpio archive", "an initrd goes to --initrd=FILE"),
            ([0x23, 0x21], "a script", nil),
            ([0x4D, 0x5A], "an EFI or DOS program", nil),
        ]
        if start.isEmpty { return .other(reason: "not a kernel: the file is empty", hint: nil) }
        if let match = known.first(where: { start.starts(with: $0.magic) }) {
            return .other(reason: "not a kernel: it is \(match.name)", hint: match.hint)
        }
        return .other(
            reason: "not a kernel: neither an ELF file nor a bzImage",
            hint: "the kernel is the file vmlinux, or arch/x86/boot/bzImage, of a Linux build")
    }
}
