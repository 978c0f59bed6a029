// SPDX-License-Identifier: Apache-2.0
//
// bzImages whose header does not name the kernel inside (before Linux 2.6.26), and those that are too old to boot.

import Support
import Testing

@testable import Boot

@Suite("Old bzImages")
struct OldKernelTests {
    private static let configuration = "CONFIG_X86_32=y\nCONFIG_LGUEST_GUEST=y\n"

    /// A bzImage with the bytes of a kernel inside, `isLguest` with the code of an lguest guest.
    private func image(version: UInt16, release: String, isLguest: Bool) throws -> InputFile {
        var content = [UInt8](repeating: 0x90, count: 5000)
        if isLguest {
            content += [0xB8, 1, 0, 0, 0, 0xBA, 0, 0x10, 0, 0, 0xCD, 0x1F]
            if version < 0x207 { content += Array("GenuineLguest".utf8) }
            content += [UInt8](repeating: 0x90, count: 500)
        }
        let lines = try #require(Packer.pack(Array(Self.configuration.utf8), .gzip))
        content += Array("IKCFG_ST".utf8) + lines + Array("IKCFG_ED".utf8)
        let packed = try #require(Packer.pack(content, .gzip))
        var builder = BzImageBuilder(version: version, release: release)
        // The unpacker, with the beginning of a gzip file that is none; the packed kernel behind its length.
        builder.payload = [UInt8](repeating: 0xAB, count: 700) + [0x1F, 0x8B, 0x08, 0, 0]
        builder.payload += words([UInt32(packed.count)]) + packed
        builder.payload += [UInt8](repeating: 0xCD, count: 160 - builder.payload.count % 16)
        return builder.file
    }

    @Test("Linux 2.6.24: looked into, and left to its own unpacker", arguments: [false, true])
    func described(isLguest: Bool) throws {
        let file = try image(version: 0x207, release: "2.6.24 (a@b)", isLguest: isLguest)
        let kernel = try KernelImage(file)
        guard case .bzImage = kernel.format else {
            Issue.record("unpacked")
            return
        }
        #expect(kernel.lguestSupport == (isLguest ? .entryStub : .none))
        #expect(kernel.suitsLguest == isLguest, "a stock kernel gets a PC")
        let found = try Inspection(file)
        #expect(found.compression == .gzip && found.version == "2.6.24" && found.obstacle == nil)
        #expect(found.interfaces == (isLguest ? ["lguest"] : []))
        #expect(found.devices == (isLguest ? "lguest device page (2.6.24)" : "virtio 1.0 over PCI"))
        #expect(found.configuration?.count == 2 && found.pae?.usesPAE == false)
        let untouched = try KernelImage(file, guestDecompress: true)
        #expect(untouched.lguestSupport == kernel.lguestSupport)
    }

    @Test("Linux 2.6.23: said what it is, and why it does not boot")
    func tooOld() throws {
        let file = try image(version: 0x206, release: "2.6.23 (a@b)", isLguest: true)
        #expect(message { _ = try KernelImage(file) }.contains("boot protocol 2.6"))
        let found = try Inspection(file)
        #expect(found.format == "bzImage" && found.version == "2.6.23" && found.compression == .gzip)
        #expect(found.interfaces == ["lguest"] && found.configuration?.count == 2)
        #expect(found.bootsAs == nil && found.obstacle?.hint?.contains("take the vmlinux") == true)
    }

    @Test("nothing inside that can be read")
    func opaque() throws {
        var builder = BzImageBuilder(version: 0x207, release: "2.6.24")
        builder.payload.replaceSubrange(2000..<2004, with: [0x1F, 0x8B, 0x08, 0])
        let found = try Inspection(builder.file)
        #expect(found.compression == nil && found.bootsAs == "lguest")
        #expect(try KernelImage(builder.file).lguestSupport == .unknown)
    }
}

@Suite("Linux releases")
struct LinuxVersionTests {
    @Test("which console drivers may be told of another window size")
    func consoles() throws {
        let bad = ["4.0.5", "4.1.15", "4.4.1", "4.8.17", "4.9.0", "4.9"]
        let good = ["2.6.32", "3.18.140", "4.4.178", "4.9.337", "4.10.0", "4.12.0", "6.1.0-38-686"]
        for release in bad + good {
            let version = try #require(LinuxVersion(release: Array(release.utf8)))
            #expect(version.survivesConsoleChanges == good.contains(release), "\(release)")
        }
    }

    @Test("which describes its devices in fields")
    func fields() throws {
        for release in ["2.6.24", "2.6.24.7", "2.6.24-rc6"] {
            #expect(try #require(LinuxVersion(release: Array(release.utf8))).hasDeviceFields)
        }
        for release in ["2.6.23", "2.6.25", "3.6.24", "4.6.24"] {
            #expect(try !#require(LinuxVersion(release: Array(release.utf8))).hasDeviceFields)
        }
    }
}
