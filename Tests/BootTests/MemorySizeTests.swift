// SPDX-License-Identifier: Apache-2.0

import Boot
import Support
import Testing

@Suite("Memory sizes")
struct MemorySizeTests {
    @Test(
        "good ones",
        arguments: [
            ("64m", 64), ("64M", 64), ("256", 256), ("1g", 1024), ("1G", 1024), ("3g", 3072), ("16", 16),
            ("65536k", 64), ("64MB", 64), ("64MiB", 64), ("3072", 3072), ("0064m", 64),
        ] as [(String, UInt64)])
    func good(text: String, mebibytes: UInt64) throws {
        #expect(try MemorySize(parsing: text).bytes == mebibytes << 20)
    }

    @Test(
        "bad ones end in one line that names them",
        arguments: [
            "", "m", "64x", "-64m", "+64", "1.5g", "0x40", "64 m", " 64", "64mm", "nonsense", "٦٤", "½g",
            "vmlinux",
            "64m\n", "0", "15m", "8", "512k", "4g", "3073m", "5000", "16385k", "99999999999999999999999g",
            "18446744073709551615", "18446744073709551615k", "17179869184g",
        ])
    func bad(text: String) {
        let message = message { _ = try MemorySize(parsing: text) }
        #expect(message.contains(text.asOneLine))
        #expect(!message.contains("\n"))
        #expect(message.hasSuffix("(16m to 3g: for example 64m, 1g, or 256 for 256 MiB)"))
    }

    @Test("sizes are written as people read them")
    func byteCounts() {
        #expect((0 as UInt64).asByteCount == "0 bytes")
        #expect((1 as UInt64).asByteCount == "1 byte")
        #expect((1023 as UInt64).asByteCount == "1023 bytes")
        #expect((1536 as UInt64).asByteCount == "1.5 KiB")
        #expect((64 << 20 as UInt64).asByteCount == "64 MiB")
        #expect(((64 << 20) + 1 as UInt64).asByteCount == "64.1 MiB")
        #expect(((65 << 20) - 1 as UInt64).asByteCount == "65 MiB")
        #expect(UInt64.max.asByteCount == "17179869184 GiB")
        #expect(UInt64.max.roundedUp(to: 4096) == nil)
        #expect((4097 as UInt64).roundedUp(to: 4096) == 8192)
    }
}
