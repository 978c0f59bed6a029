// SPDX-License-Identifier: Apache-2.0
//
// 64-bit kernels are described, not refused, by `lguest inspect`.

import Support
import Testing

@testable import Boot

@Suite("64-bit kernels")
struct WideKernelTests {
    @Test("an ELF kernel: version, interfaces by its notes and texts, and why it does not boot")
    func elf() throws {
        var bytes: [UInt8] = [0x7F, 0x45, 0x4C, 0x46, 2, 1, 1] + [UInt8](repeating: 0, count: 57)
        bytes[16] = 2
        bytes[18] = 62
        bytes += Array("Linux version 6.1.0-test (a@b)".utf8) + [0]
        bytes += [4, 0, 0, 0, 4, 0, 0, 0, 18, 0, 0, 0] + Array("Xen\0".utf8) + [0, 0, 0, 1]
        bytes += Array("KVMKVMKVM".utf8)
        let found = try Inspection(InputFile(name: "k", bytes: bytes))
        #expect(found.format == "ELF vmlinux, 64-bit" && found.version == "6.1.0-test")
        #expect(found.interfaces == ["PVH", "KVM"])
        #expect(found.bootsAs == nil && found.obstacle?.message.contains("64-bit kernel") == true)
    }

    @Test("what is no kernel is still refused")
    func refused() throws {
        #expect(throws: LguestError.self) { try Inspection(InputFile(name: "k", bytes: [1, 2, 3])) }
    }
}
