// SPDX-License-Identifier: Apache-2.0
//
// Where a vmlinux goes in guest memory, and whether that makes sense there.

import Support

/// The checked segments of an ELF kernel.
struct SegmentPlan {
    let segments: [ProgramHeader]
    /// Where execution begins (GPA).
    let entryPoint: UInt32
    /// First GPA above all segments, BSS included.
    let end: UInt64

    /// Below it are the zero page and the command line (docs: lguest ABI 1.1).
    private static let lowest: UInt64 = 0x2000

    /// Throws `.badInput` for segments that overlap each other or the boot data, and for an entry
    /// point that is in none of them.
    init(_ elf: ELF32File) throws(LguestError) {
        let name = elf.file.name
        segments = elf.loadSegments
        guard !segments.isEmpty else {
            throw LguestError(.badInput, "\(name): damaged ELF file: nothing in it is to be loaded")
        }
        let ranges = segments.map(\.physicalRange).sorted { $0.lowerBound < $1.lowerBound }
        for range in ranges where range.lowerBound < Self.lowest {
            throw LguestError(
                .badInput, "\(name): a segment at \(range.lowerBound.asHex) would cover the boot parameters",
                hint: "kernels are linked to a physical address of 1 MiB or above")
        }
        for (lower, upper) in zip(ranges, ranges.dropFirst()) where lower.overlaps(upper) {
            throw LguestError(
                .badInput,
                "\(name): damaged ELF file: segments at \(lower.lowerBound.asHex) and "
                    + "\(upper.lowerBound.asHex) overlap")
        }
        end = ranges.map(\.upperBound).max() ?? 0
        entryPoint = try Self.physicalEntry(elf, segments)
    }

    /// Linux states a physical entry address; a linker script that gives the virtual one is understood.
    private static func physicalEntry(
        _ elf: ELF32File, _ segments: [ProgramHeader]
    ) throws(LguestError) -> UInt32 {
        let entry = UInt64(elf.entry)
        if segments.contains(where: { $0.physicalRange.contains(entry) }) { return elf.entry }
        if let segment = segments.first(where: { $0.virtualRange.contains(entry) }) {
            // Inside the segment, so below its physical end, which is at most 4 GiB.
            return segment.physicalAddress + (elf.entry - segment.virtualAddress)
        }
        throw LguestError(
            .badInput,
            "\(elf.file.name): damaged ELF file: its entry point \(elf.entry.asHex) is in no segment")
    }
}
