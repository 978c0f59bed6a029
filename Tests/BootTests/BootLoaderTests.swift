// SPDX-License-Identifier: Apache-2.0

import Boot
import GuestMemory
import Support
import Testing

@Suite("Loading into guest memory")
struct BootLoaderTests {
    @Test("an ELF kernel: segments, BSS, entry, zero page, command line")
    func elf() throws {
        let memory = try GuestMemory(bytes: 64 << 20)
        let request = BootRequest(
            kernel: try KernelImage(ELFBuilder.kernel.file), commandLine: "console=hvc0 ü")
        let loaded = try request.load(into: memory)
        #expect(loaded.entryPoint == 0x10_0000 && loaded.format == .elf)
        #expect(loaded.kernelEnd == 0x10_2004 && loaded.initrd == nil)
        #expect(loaded.hostTablesEnd(memoryBytes: memory.size) == 64 << 20)
        #expect(try memory.readBytes(0x10_0000, count: 12) == ELFBuilder.stub)
        #expect(try memory.readBytes(0x10_1000, count: 8) == [1, 2, 3, 4, 0, 0, 0, 0])
        let line = Array("console=hvc0 ü".utf8) + [0]
        #expect(try memory.readBytes(0x1000, count: line.count) == line)

        var page = [UInt8](repeating: 0, count: 4096)
        page.patch(0x1E8, [1])
        page.patch(0x206, [7, 2])
        page.patch(0x211, [0x40])
        page.patch(0x228, words([0x1000]))
        page.patch(0x230, words([0x100_0000]))
        page.patch(0x23C, words([1]))
        page.patch(0x2D0, words([0, 0, 64 << 20, 0, 1]))
        #expect(try memory.readBytes(0, count: 4096) == page)
    }

    @Test("a virtual entry address is understood")
    func virtualEntry() throws {
        var builder = ELFBuilder.kernel
        builder.entry = 0xC010_0005
        let memory = try GuestMemory(bytes: 16 << 20)
        #expect(try BootRequest(kernel: KernelImage(builder.file)).load(into: memory).entryPoint == 0x10_0005)
    }

    @Test("a position-independent file is loaded as well")
    func positionIndependent() throws {
        var builder = ELFBuilder.kernel
        builder.type = 3
        let memory = try GuestMemory(bytes: 16 << 20)
        #expect(try BootRequest(kernel: KernelImage(builder.file)).load(into: memory).entryPoint == 0x10_0000)
    }

    @Test("the initrd stands in whole pages at the top of memory")
    func initrd() throws {
        let memory = try GuestMemory(bytes: 32 << 20)
        let bytes = (0..<5000).map { UInt8(truncatingIfNeeded: $0) }
        let loaded = try BootRequest(
            kernel: KernelImage(ELFBuilder.kernel.file), initrd: InputFile(name: "initrd", bytes: bytes)
        ).load(into: memory)
        let start: UInt32 = (32 << 20) - 8192
        #expect(loaded.initrd == start..<start + 8192)
        #expect(loaded.hostTablesEnd(memoryBytes: memory.size) == UInt64(start))
        #expect(try memory.readBytes(UInt64(start), count: 5000) == bytes)
        #expect(try memory.read(0x210, as: UInt8.self) == 0xFF)
        #expect(try memory.read(0x218, as: UInt32.self) == start)
        #expect(try memory.read(0x21C, as: UInt32.self) == 8192)
    }

    @Test("in a big guest the initrd stays in low memory")
    func initrdInBigGuest() throws {
        let memory = try GuestMemory(bytes: 3 << 30)
        let loaded = try BootRequest(
            kernel: KernelImage(ELFBuilder.kernel.file), initrd: InputFile(name: "initrd", bytes: [1])
        ).load(into: memory)
        let below512: Range<UInt32> = 0x1FFF_F000..<0x2000_0000
        #expect(loaded.initrd == below512)
        #expect(try memory.read(0x2D8, as: UInt64.self) == 3 << 30)
        let limited = try BootRequest(
            kernel: KernelImage(BzImageBuilder(initrdLimit: 0xFFF_FFFF).file),
            initrd: InputFile(name: "initrd", bytes: [1])
        ).load(into: memory)
        let below256: Range<UInt32> = 0xFFF_F000..<0x1000_0000
        #expect(limited.initrd == below256)
    }

    @Test("an initrd that does not fit is refused with the sizes")
    func initrdTooBig() throws {
        let memory = try GuestMemory(bytes: 16 << 20)
        let kernel = try KernelImage(ELFBuilder.kernel.file)
        let big = InputFile(name: "big.img", bytes: [UInt8](repeating: 1, count: 15 << 20))
        #expect(
            message { _ = try BootRequest(kernel: kernel, initrd: big).load(into: memory) }
                == "big.img: the initrd does not fit: it has 15 MiB, the kernel ends at 1.1 MiB, "
                + "and the guest's memory is 16 MiB (give the guest at least 19m)")
        let enough = try GuestMemory(bytes: 19 << 20)
        #expect(try BootRequest(kernel: kernel, initrd: big).load(into: enough).initrd?.count == 15 << 20)
        let empty = InputFile(name: "e", bytes: [])
        #expect(
            message { _ = try BootRequest(kernel: kernel, initrd: empty).load(into: memory) }
                == "e: the initrd is empty")
        #expect(
            message { _ = try BootRequest(kernelPath: "/nope", initrdPath: nil, commandLine: "") }
                == "/nope: no such file")
    }

    @Test("the command line has a limit")
    func commandLine() throws {
        let memory = try GuestMemory(bytes: 32 << 20)
        let kernel = try KernelImage(ELFBuilder.kernel.file)
        let longest = String(repeating: "x", count: 2047)
        _ = try BootRequest(kernel: kernel, commandLine: longest).load(into: memory)
        #expect(try memory.read(0x1000 + 2047, as: UInt8.self) == 0)
        #expect(
            message { _ = try BootRequest(kernel: kernel, commandLine: longest + "x").load(into: memory) }
                == "the kernel's arguments are too long: 2048 bytes, and it takes 2047")
        #expect(
            message { _ = try BootRequest(kernel: kernel, commandLine: "a\0b").load(into: memory) }
                .contains("zero byte"))
    }

    @Test("a kernel without lguest support can be asked for")
    func withoutSupport() throws {
        var builder = ELFBuilder.kernel
        builder.segments[0].bytes = [0xF4]
        let memory = try GuestMemory(bytes: 16 << 20)
        var request = BootRequest(kernel: try KernelImage(builder.file))
        #expect(message { _ = try request.load(into: memory) }.contains("CONFIG_LGUEST_GUEST"))
        request.requiresLguestSupport = false
        #expect(try request.load(into: memory).lguestSupport == .none)
    }

    @Test("too little memory says how much is needed")
    func tooLittle() throws {
        var builder = ELFBuilder.kernel
        builder.segments[1].memorySize = 20 << 20
        let memory = try GuestMemory(bytes: 16 << 20)
        #expect(
            message { _ = try BootRequest(kernel: KernelImage(builder.file)).load(into: memory) }
                == "vmlinux: 16 MiB is too little memory: the kernel reaches up to 21.1 MiB "
                + "(it needs at least 26m, 64m is comfortable)")
    }
}
