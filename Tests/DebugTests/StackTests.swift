// SPDX-License-Identifier: Apache-2.0
//
// What is taken for a return address, and where a kernel's code is.

import Support
import Testing

@testable import Debug

@Suite("Return addresses")
struct StackTests {
    @Test(
        "calls through a register or memory, in all their lengths",
        arguments: [
            [0xFF, 0xD7], [0xFF, 0x10], [0xFF, 0x50, 0x14], [0xFF, 0x14, 0x24], [0xFF, 0x54, 0x24, 0x08],
            [0xFF, 0x15, 0x74, 0x22, 0x3A, 0xC1], [0xFF, 0x93, 0, 1, 0, 0],
            [0xFF, 0x14, 0x85, 0, 0, 0x40, 0xC1],
            [0xFF, 0x94, 0x24, 0, 1, 0, 0],
        ] as [[UInt8]])
    func calls(bytes: [UInt8]) {
        func ends(_ bytes: [UInt8]) -> Bool {
            CallEncoding.endsWithIndirectCall(Array(repeating: 0x90, count: 7 - bytes.count) + bytes)
        }
        #expect(ends(bytes))
        // One instruction further it is none any more; nor is a jump or a push.
        if bytes.count < 6 { #expect(!ends(bytes + [0x5A, 0x8B])) }
        for other: UInt8 in [4, 6] { #expect(!ends([0xFF, bytes[1] & 0xC7 | other << 3] + bytes[2...])) }
    }

    @Test("the kernel's code is in two pieces, and what lies between them is none")
    func text() {
        let symbols = [
            ("_text", 0xC100_0000), ("_etext", 0xC120_0000), ("jiffies", 0xC130_0000),
            ("_sinittext", 0xC140_0000), ("_einittext", 0xC141_0000),
        ].map { Symbol(name: $0.0, address: UInt32($0.1)) }
        let text = KernelText(SymbolTable(symbols))
        #expect(text.isKnown && text.contains(0xC100_0000) && text.contains(0xC140_FFFF))
        for address: UInt32 in [0xC0FF_FFFF, 0xC120_0000, 0xC130_0000, 0xC141_0000] {
            #expect(!text.contains(address))
        }
        #expect(!KernelText(SymbolTable(Array(symbols[2...3]))).isKnown)
    }
}
