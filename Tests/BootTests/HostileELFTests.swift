// SPDX-License-Identifier: Apache-2.0

import Boot
import GuestMemory
import Support
import Testing

@Suite("Hostile ELF files")
struct HostileELFTests {
    /// One kernel that differs from the good one, and what must be said of it.
    struct Case: Sendable, CustomTestStringConvertible {
        let expected: String
        let change: @Sendable (inout ELFBuilder) -> Void
        var testDescription: String { expected }

        init(_ expected: String, _ change: @escaping @Sendable (inout ELFBuilder) -> Void) {
            self.expected = expected
            self.change = change
        }
    }

    static let cases: [Case] = [
        Case("the size of a program header is 56") { $0.programHeaderSize = 56 },
        Case("the size of a program header is 0") { $0.programHeaderSize = 0 },
        Case("nothing in it is to be loaded") { $0.segments = [] },
        Case("nothing in it is to be loaded") { $0.programHeaderCount = 0 },
        Case("nothing in it is to be loaded") {
            $0.segments[0].type = 4
            $0.segments[1].type = 4
        },
        Case("65535 program headers at offset 0x34 do not fit") { $0.programHeaderCount = 0xFFFF },
        Case("program headers at offset 0xffffffff do not fit") { $0.programHeaderOffset = 0xFFFF_FFFF },
        Case("section headers at offset 0xfffffff0 do not fit") {
            $0.symbols = [.init(name: "a", value: 1)]
            $0.sectionHeaderOffset = 0xFFFF_FFF0
        },
        Case("segment 0 has more bytes in the file (0xff) than in memory (0x2)") {
            $0.segments[0].fileSize = 0xFF
            $0.segments[0].memorySize = 2
        },
        Case("truncated ELF file: segment 1 wants 4 bytes at offset 0xffffffff") {
            $0.segments[1].offset = .max
        },
        Case("truncated ELF file: segment 1 wants 4 GiB at offset") {
            $0.segments[1].fileSize = .max
            $0.segments[1].memorySize = .max
        },
        Case("segment 0 at 0xfffffff0 ends above 4 GiB") { $0.segments[0].physicalAddress = 0xFFFF_FFF0 },
        Case("segments at 0x100000 and 0x100002 overlap") { $0.segments[1].physicalAddress = 0x10_0002 },
        Case("segments at 0x100000 and 0x100000 overlap") { $0.segments[1].physicalAddress = 0x10_0000 },
        Case("a segment at 0x0 would cover the boot parameters") { $0.segments[0].physicalAddress = 0 },
        Case("a segment at 0x1fff would cover the boot parameters") {
            $0.segments[0].physicalAddress = 0x1FFF
        },
        Case("its entry point 0x200000 is in no segment") { $0.entry = 0x20_0000 },
        Case("its entry point 0x0 is in no segment") { $0.entry = 0 },
        Case("32 MiB is too little memory: the kernel reaches up to 33.1 MiB (it needs at least 38m") {
            $0.segments[1].physicalAddress = 0x210_0000
        },
        Case("32 MiB is too little memory: the kernel reaches up to 0xfff01004 (no guest can have so much") {
            $0.segments[1].physicalAddress = 0xFFF0_0000
        },
        Case("a program, not a kernel") { $0.segments[1].type = 3 },
    ]

    @Test("each has its own message", arguments: cases)
    func message(of hostile: Case) throws {
        var builder = ELFBuilder.kernel
        hostile.change(&builder)
        let file = builder.file
        let memory = try GuestMemory(bytes: 32 << 20)
        let text = BootTests.message { _ = try BootRequest(kernel: KernelImage(file)).load(into: memory) }
        #expect(text.contains(hostile.expected), "\(text)")
        #expect(!text.contains("\n"))
    }

    @Test("every truncation of a good file is an error")
    func truncations() throws {
        var builder = ELFBuilder.kernel
        builder.symbols = [.init(name: "lguest_entry", value: 0xC010_0000)]
        let bytes = builder.bytes()
        for length in 0..<bytes.count {
            let file = InputFile(name: "cut", bytes: Array(bytes[..<length]))
            #expect(throws: LguestError.self) { _ = try KernelImage(file) }
        }
        _ = try KernelImage(InputFile(name: "whole", bytes: bytes))
    }

    @Test("mutated headers never crash the loader, and never reach outside guest memory")
    func fuzz() throws {
        var random = SplitMix64(state: 0x1976_0104)
        var builder = ELFBuilder.kernel
        builder.symbols = [
            .init(name: "lguest_entry", value: 0xC010_0000, size: 12), .init(name: "b", value: 0xC010_0010),
        ]
        let elf = builder.bytes()
        let bzImage = BzImageBuilder().bytes()
        let memory = try GuestMemory(bytes: 32 << 20)
        var accepted = 0
        for round in 0..<6000 {
            var bytes = round % 3 == 2 ? bzImage : elf
            let first = round % 3 == 2 ? 0x1F1 : 0
            let last = round % 3 == 2 ? 0x268 : bytes.count
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                let place = Int.random(in: first..<last, using: &random)
                let values: [UInt8] = [0, 1, 0x7F, 0x80, 0xFF, UInt8.random(in: 0...255, using: &random)]
                let value = values[Int.random(in: 0..<6, using: &random)]
                let count = min([1, 1, 2, 4][Int.random(in: 0..<4, using: &random)], bytes.count - place)
                bytes.patch(place, [UInt8](repeating: value, count: count))
            }
            do throws(LguestError) {
                let kernel = try KernelImage(InputFile(name: "fuzz", bytes: bytes))
                let loaded = try BootRequest(kernel: kernel).load(into: memory)
                #expect(UInt64(loaded.entryPoint) < memory.size && UInt64(loaded.kernelEnd) <= memory.size)
                for address: UInt32 in [0, 0x10_0000, 0xC010_0008, .max] {
                    _ = loaded.symbols?.lookup(address)
                }
                accepted += 1
            } catch {
                #expect(error.code == .badInput && !error.description.contains("\n"))
            }
        }
        #expect(accepted > 100)
    }
}

/// A small generator with a fixed start, so that a failure happens again (Steele, Lea, Flood: SplitMix).
struct SplitMix64: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
