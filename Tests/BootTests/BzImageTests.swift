// SPDX-License-Identifier: Apache-2.0

import Boot
import GuestMemory
import Support
import Testing

@Suite("bzImage")
struct BzImageTests {
    private func load(_ builder: BzImageBuilder, memory: GuestMemory) throws -> LoadedKernel {
        try BootRequest(kernel: KernelImage(builder.file)).load(into: memory)
    }

    @Test("its payload goes to 1 MiB, its header to the zero page")
    func good() throws {
        let memory = try GuestMemory(bytes: 64 << 20)
        var builder = BzImageBuilder()
        builder.entry = 0x10_0010
        builder.payload[0] = 0x77
        let loaded = try load(builder, memory: memory)
        #expect(loaded.format == .bzImage && loaded.entryPoint == 0x10_0010)
        #expect(loaded.kernelEnd == 0x180_0000 && loaded.lguestSupport == .unknown)
        #expect(loaded.linuxVersion?.release == "3.2.1-bz")
        #expect(try memory.readBytes(0x10_0000, count: 4096) == builder.payload)
        #expect(try memory.read(0x10_1000, as: UInt32.self) == 0)

        // The file's header from 0x1F1 to 0x264, with our fields on top, and nothing else.
        var page = [UInt8](repeating: 0, count: 4096)
        page.patch(0x1F1, Array(builder.bytes()[0x1F1..<0x264]))
        page.patch(0x1E8, [1])
        page.patch(0x206, [7, 2])
        page.patch(0x210, [0, 0x41])
        page.patch(0x218, words([0, 0]))
        page.patch(0x228, words([0x1000]))
        page.patch(0x230, words([0x100_0000]))
        page.patch(0x23C, words([1]))
        page.patch(0x2D0, words([0, 0, 64 << 20, 0, 1]))
        #expect(try memory.readBytes(0, count: 4096) == page)
    }

    @Test("no setup sectors means four")
    func setupSectors() throws {
        let memory = try GuestMemory(bytes: 64 << 20)
        let builder = BzImageBuilder(setupSectors: 0)
        _ = try load(builder, memory: memory)
        #expect(try memory.readBytes(0x10_0000, count: 4096) == builder.payload)
    }

    @Test("a header that claims to be longer than its place is cut")
    func longHeader() throws {
        let memory = try GuestMemory(bytes: 64 << 20)
        var bytes = BzImageBuilder(jump: 0xFF).bytes()
        bytes.patch(0x290, [UInt8](repeating: 0xEE, count: 0x100))
        _ = try BootRequest(kernel: KernelImage(InputFile(name: "b", bytes: bytes))).load(into: memory)
        #expect(try memory.readBytes(0x290, count: 0x40) == [UInt8](repeating: 0, count: 0x40))
    }

    static let bad: [(builder: BzImageBuilder, message: String)] = [
        (BzImageBuilder(xloadFlags: 1), "a 64-bit kernel"),
        (BzImageBuilder(version: 0x206), "a bzImage of boot protocol 2.6, which knows nothing of lguest"),
        (BzImageBuilder(version: 0), "boot protocol 0.0"),
        (BzImageBuilder(loadFlags: 0), "a zImage"),
        (BzImageBuilder(entry: 0), "it wants to start at 0x0"),
        (BzImageBuilder(entry: 0x10_1000), "it wants to start at 0x101000"),
        (BzImageBuilder(entry: .max), "it wants to start at 0xffffffff"),
        (BzImageBuilder(announcedSize: 258), "truncated bzImage"),
        (BzImageBuilder(announcedSize: .max), "truncated bzImage"),
        (BzImageBuilder(payload: []), "truncated bzImage"),
        (BzImageBuilder(preferredAddress: .max), "no guest can have so much"),
        (BzImageBuilder(preferredAddress: 0x1_0000_0000), "no guest can have so much"),
        (BzImageBuilder(initSize: .max), "no guest can have so much"),
        (BzImageBuilder(initSize: 100 << 20), "it needs at least 120m"),
    ]

    @Test("bad ones", arguments: bad.indices)
    func badOnes(index: Int) throws {
        let memory = try GuestMemory(bytes: 64 << 20)
        let text = message { _ = try load(Self.bad[index].builder, memory: memory) }
        #expect(text.contains(Self.bad[index].message), "\(text)")
    }

    @Test("its own limit for the command line is kept")
    func commandLine() throws {
        let memory = try GuestMemory(bytes: 64 << 20)
        let kernel = try KernelImage(BzImageBuilder(commandLineSize: 300).file)
        let line = String(repeating: "x", count: 301)
        #expect(
            message { _ = try BootRequest(kernel: kernel, commandLine: line).load(into: memory) }
                .contains("301 bytes, and it takes 300"))
        let huge = try KernelImage(BzImageBuilder(commandLineSize: .max).file)
        _ = try BootRequest(kernel: huge, commandLine: line).load(into: memory)
    }
}
