// SPDX-License-Identifier: Apache-2.0
//
// The arguments of an event in words: a page-table entry with its bits, a fault with its reason, a vector
// with its name.

import Tap

enum ArgumentText {
    /// `pgdir 0x1a3d000  va 0xbf8e1000`, each argument behind two blanks. `place` names a guest-virtual address.
    static func put(
        _ values: SIMD4<UInt32>, _ kind: EventKind, _ names: [String], place: (UInt32) -> [UInt8]?,
        into out: inout TextBuffer
    ) {
        for (index, argument) in kind.arguments.enumerated() {
            if argument.format == .upper || argument.format == .hidden { continue }
            let upper =
                index + 1 < kind.arguments.count && kind.arguments[index + 1].format == .upper
                ? values[(index + 1) & 3] : 0
            out.put("  ")
            out.put(string: argument.name)
            out.put(" ")
            let value = values[index & 3]
            switch argument.format {
            case .address:
                out.put(hex: UInt64(value))
                if let name = place(value) { parenthesised(name, into: &out) }
            case .name: out.put(string: names.indices.contains(Int(value)) ? names[Int(value)] : "?")
            case .entry: putEntry(UInt64(upper) << 32 | UInt64(value), into: &out)
            default: put(value, argument.format, into: &out)
            }
        }
    }

    private static func parenthesised(_ text: [UInt8], into out: inout TextBuffer) {
        out.put(" (")
        out.put(text)
        out.put(")")
    }

    private static func put(_ value: UInt32, _ format: ArgumentFormat, into out: inout TextBuffer) {
        switch format {
        case .decimal: out.put(decimal: UInt64(value))
        case .nanoseconds:
            out.put(decimal: UInt64(value / 1000))
            out.put(".")
            out.put(decimal: UInt64(value % 1000), width: 3)
            out.put(" µs")
        case .faultCode: putFault(value, into: &out)
        case .vector:
            out.put(decimal: UInt64(value))
            if let name = ExceptionNames.name(value) { parenthesised(Array(name.utf8), into: &out) }
        case .systemCall: out.put(string: SystemCallNames.name(value) ?? "number \(value)")
        case .boolean: out.put(value == 0 ? "no" : "yes")
        case .hex, .physical, .upper, .hidden, .address, .name, .entry: out.put(hex: UInt64(value))
        }
    }

    private static func putEntry(_ entry: UInt64, into out: inout TextBuffer) {
        out.put(hex: entry, width: 8)
        guard entry & 1 != 0 else {
            out.put(entry == 0 ? " (none)" : " (not present)")
            return
        }
        out.put(entry & 4 != 0 ? " (user" : " (kernel")
        out.put(entry & 2 != 0 ? " rw" : " ro")
        if entry & 0x20 != 0 { out.put(" accessed") }
        if entry & 0x40 != 0 { out.put(" dirty") }
        if entry & 0x100 != 0 { out.put(" global") }
        if entry >> 63 != 0 { out.put(" nx") }
        out.put(")")
    }

    private static func putFault(_ code: UInt32, into out: inout TextBuffer) {
        out.put(code & 4 != 0 ? "user " : "kernel ")
        out.put(code & 16 != 0 ? "fetch" : code & 2 != 0 ? "write" : "read")
        out.put(code & 1 != 0 ? ", not allowed" : ", nothing there")
    }
}
