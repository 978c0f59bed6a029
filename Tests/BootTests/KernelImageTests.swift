// SPDX-License-Identifier: Apache-2.0

import Boot
import Support
import Testing

@Suite("Recognising kernels")
struct KernelImageTests {
    @Test("a good ELF kernel")
    func goodELF() throws {
        let kernel = try KernelImage(ELFBuilder.kernel.file)
        #expect(kernel.lguestSupport == .entryStub)
        #expect(kernel.linuxVersion?.release == "4.4.178-test")
        #expect(kernel.linuxVersion.map { [$0.major, $0.minor, $0.patch] } == [4, 4, 178])
        #expect(kernel.symbols == nil)
        try kernel.requireLguestSupport()
    }

    @Test("symbols prove lguest support")
    func supportBySymbols() throws {
        for name in ["lguest_entry", "lguest_init", "lguest_data"] {
            var builder = ELFBuilder.kernel
            builder.segments[0].bytes = Array("no stub".utf8)
            builder.symbols = [.init(name: name, value: 0xC010_0000)]
            #expect(try KernelImage(builder.file).lguestSupport == .symbols)
        }
    }

    @Test(
        "the entry stub in all its forms",
        arguments: [
            ([0xB8, 1, 0, 0, 0, 0xBB, 1, 2, 3, 4, 0xCD, 0x1F], true),
            ([0xBB, 1, 2, 3, 4, 0xB8, 1, 0, 0, 0, 0xCD, 0x1F], true),
            ([0xB8, 1, 0, 0, 0, 0xBA, 1, 2, 3, 4, 0xCD, 0x1F], true),
            ([0xB8, 1, 0, 0, 0, 0xBB, 1, 2, 3, 4, 0x0F, 0x01, 0xC1], true),
            ([0x31, 0xC0, 0x40, 0xBB, 1, 2, 3, 4, 0xCD, 0x1F], true),
            ([0x53, 0x6A, 1, 0x58, 0x8D, 0x9D, 1, 2, 3, 4, 0xCD, 0x1F], true),
            ([0xB8, 1, 0, 0, 0, 0x8B, 0x5C, 0x24, 8, 0x31, 0xC9, 0x31, 0xD2, 0xCD, 0x1F], true),
            ([0xB8, 1, 0, 0, 0, 0xCD, 0x1F], false),
            ([0xB8, 2, 0, 0, 0, 0xBB, 1, 2, 3, 4, 0xCD, 0x1F], false),
            ([0xB8, 1, 0, 0, 0, 0xBB, 1, 2, 3, 4, 0xCD, 0x80], false),
            ([0xB8, 1, 0, 0, 0, 0xBB, 1, 2, 3, 4, 0xC3, 0xCD, 0x1F], false),
            ([0xB8, 1, 0, 0, 0, 0xBB, 1, 2, 3], false),
            ([0xB8, 1, 0, 0, 0, 0x8B], false),
            ([0xCD, 0x1F], false),
            ([], false),
        ] as [([UInt8], Bool)])
    func entryStub(code: [UInt8], found: Bool) throws {
        for padding in [0, 1, (1 << 18) - 5] {
            var builder = ELFBuilder()
            let bytes = [UInt8](repeating: 0x55, count: padding) + code + [0x55]
            builder.segments = [.init(virtualAddress: 0x10_0000, physicalAddress: 0x10_0000, bytes: bytes)]
            #expect(try KernelImage(builder.file).lguestSupport == (found ? .entryStub : .none))
        }
    }

    @Test("the signature of Linux 2.6.23")
    func signature() throws {
        var builder = ELFBuilder()
        builder.segments = [
            .init(
                virtualAddress: 0xC010_0000, physicalAddress: 0x10_0000, bytes: Array("..GenuineLguest.".utf8)
            )
        ]
        #expect(
            try KernelImage(builder.file).lguestSupport
                == .signature(entry: 0xC010_000F, pageOffset: 0xC000_0000))
        // That kernel has the names of the later ones, too.
        builder.symbols = [.init(name: "lguest_data", value: 0xC010_0000)]
        #expect(
            try KernelImage(builder.file).lguestSupport
                == .signature(entry: 0xC010_000F, pageOffset: 0xC000_0000))
    }

    @Test("a kernel without lguest support says which option it lacks")
    func noSupport() throws {
        var builder = ELFBuilder.kernel
        builder.segments[0].bytes = Array("Linux version 4.4.1 (gcc)".utf8)
        let old = message { try KernelImage(builder.file).requireLguestSupport() }
        #expect(
            old == "vmlinux: Linux 4.4.1 without lguest support: CONFIG_LGUEST_GUEST is not set in it "
                + "(build it with CONFIG_LGUEST_GUEST=y)")
        builder.segments[0].bytes = Array("Linux version 6.1.0-13 (gcc)".utf8)
        let new = message { try KernelImage(builder.file).requireLguestSupport() }
        #expect(new.contains("4.13 was the last release"))
        builder.segments[0].bytes = Array("something else: Linux version %s".utf8)
        let other = message { try KernelImage(builder.file).requireLguestSupport() }
        #expect(other.contains("no Linux kernel with lguest support: CONFIG_LGUEST_GUEST"))
    }

    static let others: [(bytes: [UInt8], message: String)] = [
        ([], "not a kernel: the file is empty"),
        ([0x7F], "not a kernel: neither an ELF file nor a bzImage"),
        (Array("\u{7F}ELF".utf8), "truncated ELF file"),
        ([0x1F, 0x8B, 8, 0], "not a kernel: it is gzip data"),
        (Array("070701".utf8), "not a kernel: it is a cpio archive"),
        (Array("#!/bin/sh\n".utf8), "not a kernel: it is a script"),
        ([UInt8](repeating: 0, count: 5000), "not a kernel: neither"),
        (ELFBuilder(fileClass: 3).bytes(), "unknown class"),
        (ELFBuilder(byteOrder: 0).bytes(), "unknown class or byte order"),
        (ELFBuilder(machine: 40).bytes(), "an ELF file for ARM"),
        (ELFBuilder(byteOrder: 2, machine: 0x0800).bytes(), "an ELF file for MIPS"),
        (ELFBuilder(type: 1).bytes(), "an object file"),
        (ELFBuilder(type: 4).bytes(), "a core dump"),
        (ELFBuilder(type: 77).bytes(), "its type is number 77"),
        (ELFBuilder(fileClass: 2, machine: 62).bytes(), "a 64-bit kernel"),
    ]

    @Test("what is no kernel", arguments: others.indices)
    func notAKernel(index: Int) {
        let other = Self.others[index]
        let text = message { _ = try KernelImage(InputFile(name: "file", bytes: other.bytes)) }
        #expect(text.contains(other.message), "\(text)")
        #expect(text.hasPrefix("file: ") && !text.contains("\n"))
    }

    @Test("files that cannot be read")
    func files() {
        #expect(
            message { _ = try KernelImage(path: "/nonexistent/vmlinux") }
                == "/nonexistent/vmlinux: no such file")
        #expect(message { _ = try KernelImage(path: "/tmp") } == "/tmp: is a directory, not a kernel")
        #expect(message { _ = try KernelImage(path: "/dev/zero") }.contains("is not a regular file"))
        #expect(
            message { _ = try KernelImage(path: "/etc/passwd") }.contains("neither an ELF file nor a bzImage")
        )
        #expect(message { _ = try KernelImage(path: "a\nb") } == "a?b: no such file")
        // This very test program, a 64-bit one with a dynamic linker, is no kernel.
        #expect(message { _ = try KernelImage(path: "/proc/self/exe") }.contains("64-bit program"))
    }
}
