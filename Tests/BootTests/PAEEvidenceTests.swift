// SPDX-License-Identifier: Apache-2.0
//
// Which page tables a kernel without symbols uses: what it would say, and how its code looks.

import Support
import Testing

@testable import Boot

@Suite("PAE evidence")
struct PAEEvidenceTests {
    private func evidence(_ code: [UInt8], configuration: [String]? = nil) throws -> PAEEvidence? {
        var builder = ELFBuilder.kernel
        builder.segments[0].bytes += [UInt8](repeating: 0x90, count: 500) + code + [0xF8, 0, 0, 0]
        let elf = try ELF32File(InputFile(name: "k", bytes: builder.bytes()))
        return try PAEEvidence(elf, symbols: nil, configuration: configuration)
    }

    private static let two: [UInt8] = [0xB9, 0, 4, 0, 0, 0xAB, 0x05, 0, 0x10, 0, 0, 0xE2]
    private static let three: [UInt8] = [
        0xB9, 0, 2, 0, 0, 0xAB, 0x93, 0xAB, 0x93, 0x05, 0, 0x10, 0, 0, 0xE2,
    ]
    private static let saysTwo = Array("cannot be enabled: non-PAE kernel!\n".utf8)
    private static let saysThree = Array("<6>NX (Execute Disable) protection: active\n".utf8)

    @Test("the loop that fills the first page table")
    func code() throws {
        #expect(try evidence(Self.two)?.usesPAE == false)
        let three = try evidence(Self.three)
        #expect(three?.usesPAE == true && three?.source == "code")
        #expect(try evidence([]) == nil && evidence(Self.two + Self.three) == nil)
        // As in Linux 2.6.32 without PAE.
        #expect(try evidence(Self.saysThree + Self.two)?.usesPAE == false)
    }

    @Test("what the kernel says about the no-execute bit counts where its code does not tell")
    func messages() throws {
        #expect(try evidence(Self.saysTwo)?.usesPAE == false)
        let three = try evidence(Self.saysThree)
        #expect(three?.usesPAE == true && three?.source == "messages")
        #expect(try evidence(Self.saysThree + Self.saysTwo) == nil)
    }

    @Test("the embedded configuration goes before all else")
    func configuration() throws {
        let found = try evidence(Self.saysThree, configuration: ["# CONFIG_X86_PAE is not set"])
        #expect(found?.usesPAE == false && found?.source == "configuration")
        #expect(try evidence(Self.two, configuration: ["CONFIG_X86_PAE=y"])?.usesPAE == true)
    }
}
