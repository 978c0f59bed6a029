// SPDX-License-Identifier: Apache-2.0

import Support
import Testing
import Trace

@Suite("Disassembler")
struct DisassemblerTests {
    static let att: [(bytes: [UInt8], text: String)] = [
        ([0x65, 0xA1, 0x14, 0, 0, 0], "mov %gs:0x14,%eax"), ([0xCD, 0x1F], "int $0x1f"),
        ([0x0F, 0x01, 0xC1], "vmcall"), ([0x0F, 0x32], "rdmsr"), ([0xB8, 1, 0, 0, 0], "mov $0x1,%eax"),
        ([0x8B, 0x44, 0x24, 0xFC], "mov -0x4(%esp),%eax"), ([0xF3, 0xA4], "rep movsb"),
        ([0xF3, 0xAB], "rep stosl"), ([0x66, 0xAB], "stosw"), ([0xCF], "iret"), ([0x66, 0xCF], "iretw"),
        ([0xC7, 0x05, 0, 0, 0, 0xC1, 1, 0, 0, 0], "movl $0x1,0xc1000000"), ([0x9C], "pushf"),
        ([0x0F, 0xB6, 0x03], "movzbl (%ebx),%eax"), ([0x0F, 0xBF, 0xC3], "movswl %bx,%eax"),
        ([0xF0, 0x0F, 0xB1, 0x13], "lock cmpxchg %edx,(%ebx)"), ([0xFF, 0xD0], "call *%eax"),
        ([0xFF, 0x15, 0, 0, 0, 0xC1], "call *0xc1000000"),
        ([0xEA, 1, 2, 3, 4, 0x10, 0], "ljmp $0x10,$0x4030201"),
        ([0xDD, 0x03], "fldl (%ebx)"), ([0xD9, 0x03], "flds (%ebx)"), ([0xDB, 0x2B], "fldt (%ebx)"),
        ([0x0F, 0x22, 0xD8], "mov %eax,%cr3"), ([0x6A, 0x80], "push $0xffffff80"), ([0x99], "cltd"),
        ([0x83, 0x38, 0x05], "cmpl $0x5,(%eax)"), ([0x0F, 0x94, 0xC0], "sete %al"), ([0x0F, 0x0B], "ud2"),
        ([0xFF, 0x44, 0x90, 0x3C], "incl 0x3c(%eax,%edx,4)"), ([0xF6, 0x33], "divb (%ebx)"),
        ([0x40], "inc %eax"),
        ([0x0F, 0xAF, 0x03], "imul (%ebx),%eax"), ([0x65, 0xFF, 0x05, 4, 0, 0, 0], "incl %gs:0x4"),
        ([0x89, 0x1C, 0x85, 0, 0x10, 0, 0], "mov %ebx,0x1000(,%eax,4)"), ([0xE6, 0x80], "out %al,$0x80"),
    ]

    @Test("AT&T syntax as in objdump", arguments: att.indices)
    func attSyntax(index: Int) {
        let (bytes, text) = Self.att[index]
        let result = Disassembler().instruction(bytes + [0x90, 0x90], at: 0xC100_0000)
        #expect(result.text == text)
        #expect(result.length == bytes.count && result.isValid)
    }

    @Test("Intel syntax")
    func intelSyntax() {
        let result = Disassembler(syntax: .intel).instruction([0x65, 0xA1, 0x14, 0, 0, 0], at: 0)
        #expect(result.text == "mov eax, gs:[0x14]")
        // An offset into the segment that GS selects is no address.
        #expect(result.target == nil)
    }

    @Test("16-bit code")
    func code16() {
        let disassembler = Disassembler()
        #expect(disassembler.instruction([0xB8, 1, 0], at: 0, codeSize: .bits16).text == "mov $0x1,%ax")
        #expect(disassembler.instruction([0x66, 0x9C], at: 0, codeSize: .bits16).text == "pushfl")
        #expect(disassembler.instruction([0xEB, 0x10], at: 0x100, codeSize: .bits16).target == 0x112)
    }

    @Test("targets are named")
    func targets() {
        let symbols = SymbolTable([
            Symbol(name: "startup_32", address: 0xC100_0000, size: 0x100),
            Symbol(name: "jiffies", address: 0xC120_0000),
        ])
        let disassembler = Disassembler(symbols: symbols)
        let call = disassembler.instruction([0xE8, 0x0B, 0, 0, 0], at: 0xC100_0010)
        #expect(call.text == "call 0xc1000020 <startup_32+0x20>" && call.target == 0xC100_0020)
        let load = disassembler.instruction([0xA1, 0, 0, 0x20, 0xC1], at: 0xC100_0010)
        #expect(load.text == "mov 0xc1200000,%eax <jiffies>" && load.target == 0xC120_0000)
        // Relative jumps wrap at 4 GiB.
        #expect(disassembler.instruction([0xEB, 0x10], at: 0xFFFF_FFF8).target == 0xA)
        #expect(disassembler.instruction([0x90], at: 0xC100_0010).target == nil)
    }

    @Test(
        "bytes that are no instruction",
        arguments: [[], [0x0F], [0xFF, 0xFF], [0xB8, 1, 0], [0xF0, 0x90]] as [[UInt8]])
    func bad(bytes: [UInt8]) {
        let result = Disassembler().instruction(bytes, at: 0)
        #expect(result.text == "(bad)" && result.length == 1 && !result.isValid && result.target == nil)
    }

    @Test("a listing goes on behind bad bytes")
    func listing() {
        let lines = Disassembler().listing([0x90, 0xFF, 0xF8, 0xCD, 0x1F, 0x0F], at: 0x1000)
        #expect(lines.map(\.address) == [0x1000, 0x1001, 0x1002, 0x1003, 0x1005])
        #expect(lines.map(\.instruction.text) == ["nop", "(bad)", "clc", "int $0x1f", "(bad)"])
        #expect(Disassembler().listing([0x90, 0x90, 0x90], at: 0, limit: 2).count == 2)
        #expect([0x65, 0xA1, 0x04].asHexBytes == "65 a1 04")
    }

    @Test("no bytes can crash it")
    func fuzz() {
        var state: UInt64 = 0x1234_5678
        for _ in 0..<20000 {
            var bytes: [UInt8] = []
            for _ in 0..<15 {
                state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                bytes.append(UInt8(truncatingIfNeeded: state >> 33))
            }
            let result = Disassembler().instruction(bytes, at: UInt32(truncatingIfNeeded: state))
            #expect((1...15).contains(result.length) && !result.text.isEmpty)
        }
    }
}
