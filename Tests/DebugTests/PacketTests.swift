// SPDX-License-Identifier: Apache-2.0
//
// The framing of the remote protocol, well-formed and not.

import Testing

@testable import Debug

@Suite("Packets of the remote protocol")
struct PacketTests {
    private func read(_ text: String) -> [Incoming] {
        var reader = PacketReader()
        return text.utf8.compactMap { reader.take($0) }
    }

    @Test("packets, acknowledgements and Ctrl-C in one stream")
    func stream() {
        #expect(
            read("+$g#67-\u{3}$#00") == [
                .acknowledge, .packet(Array("g".utf8)), .resend, .interrupt, .packet([]),
            ])
    }

    @Test("a wrong checksum, and digits that are none")
    func damage() {
        #expect(read("$g#68") == [.damaged])
        #expect(read("$g#xy$g#67") == [.damaged, .packet(Array("g".utf8))])
    }

    @Test("a packet that begins anew, one that never ends")
    func hostile() {
        #expect(read("$mmm$g#67") == [.packet(Array("g".utf8))])
        var reader = PacketReader()
        _ = reader.take(UInt8(ascii: "$"))
        for _ in 0..<(PacketReader.limit + 8) { #expect(reader.take(UInt8(ascii: "a")) == nil) }
        #expect(Array("$g#67".utf8).compactMap { reader.take($0) } == [.packet(Array("g".utf8))])
    }

    @Test(
        "every byte survives framing",
        arguments: [0...63, 64...127, 128...191, 192...255] as [ClosedRange<UInt8>])
    func escapes(range: ClosedRange<UInt8>) {
        var reader = PacketReader()
        let data = Array(range)
        #expect(PacketWriter.frame(data).compactMap { reader.take($0) } == [.packet(data)])
    }

    @Test("hexadecimal digits")
    func hex() {
        #expect(Hex.text([0, 0x9A, 0xFF]) == "009aff")
        #expect(Hex.bytes("009AfF".utf8) == [0, 0x9A, 0xFF])
        #expect(Hex.bytes("0".utf8) == nil)
        #expect(Hex.bytes("0g".utf8) == nil)
    }

    @Test("the description numbers all registers in order")
    func description() {
        for (number, register) in DebugRegister.all.enumerated() {
            let line =
                "<reg name=\"\(register.name)\" bitsize=\"\(register.bits)\" type=\"\(register.type)\" "
            #expect(TargetDescription.xml.contains(line + "regnum=\"\(number)\""))
        }
    }
}
