// SPDX-License-Identifier: Apache-2.0

import Boot
import GuestMemory
import Support
import Testing

@Suite("PVH kernels")
struct PVHTests {
    /// A kernel of no known kind at 1 MiB with the note of a PVH kernel.
    private static func kernel(entry: [UInt8]) -> ELFBuilder {
        var builder = ELFBuilder()
        builder.segments = [
            ELFBuilder.Segment(
                virtualAddress: 0x10_0000, physicalAddress: 0x10_0000,
                bytes: [UInt8](repeating: 0x90, count: 64)),
            ELFBuilder.Segment(
                type: 4, virtualAddress: 0, physicalAddress: 0,
                // One of another name before it.
                bytes: words([4, 4, 18]) + Array("GNU\0".utf8) + words([7])
                    + words([4, UInt32(entry.count), 18]) + Array("Xen\0".utf8) + entry),
        ]
        return builder
    }

    @Test("the entry point is that of the note, 4 or 8 bytes long", arguments: [4, 8])
    func entry(length: Int) throws {
        let note = words([0x10_0020, 0])[..<length]
        #expect(try KernelImage(Self.kernel(entry: Array(note)).file).pvhEntry == 0x10_0020)
    }

    @Test("the kernel finds command line, initrd, memory map and the root pointer")
    func startInfo() throws {
        let memory = try GuestMemory(bytes: 64 << 20)
        var request = BootRequest(
            kernel: try KernelImage(Self.kernel(entry: words([0x10_0020])).file),
            initrd: InputFile(name: "initrd", bytes: [UInt8](repeating: 7, count: 5000)),
            commandLine: "a b")
        request.bootProtocol = .pvh
        request.firmware = [(address: 0xE_0000, bytes: [1, 2, 3])]
        let loaded = try request.load(into: memory)
        #expect(loaded.entryPoint == 0x10_0020)
        let start = UInt64(PCLayout.startInfo)
        func word(_ offset: UInt64) throws -> UInt32 { try memory.read(start + offset, as: UInt32.self) }
        func long(_ address: UInt64) throws -> UInt64 { try memory.read(address, as: UInt64.self) }
        #expect(try word(0) == 0x336E_C578)
        #expect(try [word(4), word(8), word(12)] == [1, 0, 1])
        #expect(try memory.readBytes(long(start + 24), count: 4) == Array("a b\0".utf8))
        #expect(try long(start + 32) == 0xE_0000)
        let module = try long(start + 16)
        #expect(try long(module) == UInt64(try #require(loaded.initrd).lowerBound))
        #expect(try long(module + 8) == 5000)
        let map = try long(start + 40)
        #expect(try word(48) == 4)
        #expect(try [long(map), long(map + 8)] == [0, 0x9_FC00])
        #expect(try memory.read(map + 16, as: UInt32.self) == 1)
        #expect(try [long(map + 72), long(map + 80)] == [1 << 20, 63 << 20])
    }

    @Test("an entry point outside the kernel, and a kernel without one, are refused")
    func refused() throws {
        let memory = try GuestMemory(bytes: 16 << 20)
        for (kernel, text) in [
            (Self.kernel(entry: words([0x20_0000])), "is in no segment"),
            (ELFBuilder.kernel, "no PVH kernel"),
            (Self.kernel(entry: words([0x10_0020, 1])), "no PVH kernel"),
            (Self.kernel(entry: [1, 2]), "no PVH kernel"),
        ] {
            var request = BootRequest(kernel: try KernelImage(kernel.file))
            request.bootProtocol = .pvh
            let error = #expect(throws: LguestError.self) { try request.load(into: memory) }
            #expect(error?.description.contains(text) == true)
        }
    }
}
