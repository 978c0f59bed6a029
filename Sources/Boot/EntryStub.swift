// SPDX-License-Identifier: Apache-2.0
//
// Recognises the first thing that every lguest guest does: hypercall 1 (LGUEST_INIT) with the address
// of its lguest_data in EBX or EDX (docs: lguest ABI 1.6). In all known kernels that is
//
//     b8 01 00 00 00    mov  $1,%eax              (sometimes after the next one)
//     bb xx xx xx xx    mov  $lguest_data,%ebx    (ba: %edx, up to Linux 2.6.29)
//     cd 1f             int  $0x1f                (0f 01 c1: vmcall, around Linux 2.6.30)
//
// but other compilers and guests may write it in other ways. So we look for any instruction that sets
// EAX to 1, and walk from there over simple instructions to a hypercall instruction that has
// EBX or EDX loaded on the way. A random hit in 10 MB of other code is very unlikely.

enum EntryStub {
    /// Most bytes that a stub may have.
    static let longest = 48

    /// Whether `code` contains such a sequence.
    static func isPresent(in code: [UInt8]) -> Bool {
        // The hypercall is the rarest part, and found fast.
        let hypercalls: [[UInt8]] = [[0xCD, 0x1F], [0x0F, 0x01, 0xC1]]
        return hypercalls.contains { hypercall in
            var from = 0
            while let hit = code.firstIndex(of: hypercall, from: from) {
                if (max(0, hit - longest)..<hit).contains(where: {
                    setsEAXToOne(code, $0) && leadsToHypercall(code, from: $0)
                }) {
                    return true
                }
                from = hit + 1
            }
            return false
        }
    }

    /// `mov $1,%eax` · `xor %eax,%eax; inc %eax` (two encodings) · `push $1; pop %eax`
    private static func setsEAXToOne(_ code: [UInt8], _ index: Int) -> Bool {
        switch code[index] {
        case 0xB8: code[index...].starts(with: [0xB8, 1, 0, 0, 0])
        case 0x31, 0x33: code[(index + 1)...].starts(with: [0xC0, 0x40])
        case 0x6A: code[(index + 1)...].starts(with: [1, 0x58])
        default: false
        }
    }

    /// Walks from the instruction that sets EAX. The argument may also have been loaded just before it.
    private static func leadsToHypercall(_ code: [UInt8], from start: Int) -> Bool {
        var hasArgument = start >= 5 && isArgumentLoad(code[start - 5])
        var index = start
        while index < min(code.count, start + longest) {
            if code[index...].starts(with: [0xCD, 0x1F]) || code[index...].starts(with: [0x0F, 0x01, 0xC1]) {
                return hasArgument
            }
            if isArgumentLoad(code[index]) || loadsArgumentByModRM(code, index) { hasArgument = true }
            guard let length = simpleInstructionLength(code, index) else { return false }
            index += length
        }
        return false
    }

    /// `mov imm32` to EDX or EBX.
    private static func isArgumentLoad(_ opcode: UInt8) -> Bool { opcode == 0xBA || opcode == 0xBB }

    /// `mov` or `lea` whose destination is EDX (2) or EBX (3).
    private static func loadsArgumentByModRM(_ code: [UInt8], _ index: Int) -> Bool {
        guard index + 1 < code.count else { return false }
        let modRM = code[index + 1]
        switch code[index] {
        case 0x8B, 0x8D: return [2, 3].contains(modRM >> 3 & 7)
        case 0x89: return modRM >> 6 == 3 && [2, 3].contains(modRM & 7)
        default: return false
        }
    }

    /// Length in bytes of the instruction at `index` when it is one that a compiler may put between
    /// loading the registers and the trap; nil for all others.
    private static func simpleInstructionLength(_ code: [UInt8], _ index: Int) -> Int? {
        switch code[index] {
        case 0xB8...0xBF: 5  // mov imm32 to a register
        case 0x40...0x5F, 0x90, 0xFA, 0xFC: 1  // inc, dec, push, pop, nop, cli, cld
        case 0x6A: 2  // push imm8
        case 0x31, 0x33, 0x89, 0x8B, 0x8D: 1 + modRMLength(code, index + 1)  // xor, mov, lea
        default: nil
        }
    }

    /// Length of a ModR/M byte with what belongs to it, 32-bit addressing (Intel SDM 2, table 2-2).
    private static func modRMLength(_ code: [UInt8], _ index: Int) -> Int {
        guard index + 1 < code.count else { return 1 }
        let mode = code[index] >> 6
        let register = code[index] & 7
        let sib = mode != 3 && register == 4 ? 1 : 0
        let base = sib == 1 ? code[index + 1] & 7 : register
        switch mode {
        case 0: return 1 + sib + (base == 5 ? 4 : 0)
        case 1: return 2 + sib
        case 2: return 5 + sib
        default: return 1
        }
    }
}
