// SPDX-License-Identifier: Apache-2.0
//
// Return addresses are known by what is before them: E8 with four bytes of distance, or FF /2 in one of its lengths
// (Intel SDM volume 2, CALL).

public enum CallEncoding {
    /// Whether seven bytes end with a CALL through a register or memory.
    public static func endsWithIndirectCall(_ bytes: [UInt8]) -> Bool {
        guard bytes.count == 7 else { return false }
        return [2, 3, 4, 6, 7].contains { length in
            let at = 7 - length
            guard bytes[at] == 0xFF, bytes[at + 1] >> 3 & 7 == 2 else { return false }
            return lengthOfIndirectCall(bytes[at + 1], length > 2 ? bytes[at + 2] : 0) == length
        }
    }

    private static func lengthOfIndirectCall(_ modRM: UInt8, _ sib: UInt8) -> Int {
        let (mode, register) = (modRM >> 6, modRM & 7)
        if mode == 3 { return 2 }
        let hasSIB = register == 4
        let displacement =
            switch mode {
            case 1: 1
            case 2: 4
            default: register == 5 || hasSIB && sib & 7 == 5 ? 4 : 0
            }
        return 2 + (hasSIB ? 1 : 0) + displacement
    }
}
