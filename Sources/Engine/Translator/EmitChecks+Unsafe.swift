// SPDX-License-Identifier: Apache-2.0
//
// Blocks in pages whose code changes all the time. Such a page is not protected: each of its blocks looks first
// whether its bytes are still those it was made from. The constant of `mov $constant, register`, which is what
// most often changes, is not compared but loaded when it is needed.

import X86

extension BlockEmitter {
    /// Whether instruction `i` takes its constant from the guest's code when it runs.
    func loadsConstant(_ i: Instruction) -> Bool {
        checksItself && i.operation == .mov && i.operandSize == 4 && i.destination.kind == .register
            && i.source.kind == .immediate && i.opcode & 0xF8 == 0xB8
    }

    /// Host address of instruction `k`'s four-byte constant, which ends it.
    func constantAddress(_ k: Int) -> UInt {
        host &+ UInt(addresses[k] &- eip) &+ UInt(instructions[k].length) &- 4
    }

    /// Compares the block's bytes. The flags are saved.
    func checkBytes() {
        var stubs: [Int] = []
        a.immediate64(Host.r11, UInt64(host))
        var from = 0
        for k in 0..<instructions.count {
            let end = Int(addresses[k] &- eip) + Int(instructions[k].length)
            if loadsConstant(instructions[k]) {
                compare(from, end - 4, &stubs)
                from = end
            }
        }
        compare(from, Int(endEIP &- eip), &stubs)
        outOfLine.append { [self] in
            for stub in stubs { a.bind(stub) }
            a.immediate(Host.r11, eip)
            a.jump(to: thunks.stale)
        }
    }

    private func compare(_ from: Int, _ end: Int, _ stubs: inout [Int]) {
        var at = from
        while at < end {
            // SAFETY: the block's bytes lie in one page of guest RAM.
            let bytes = UnsafeRawPointer(bitPattern: host &+ UInt(at)).unsafelyUnwrapped
            if end - at >= 8 {
                a.immediate64(Host.r9, bytes.loadUnaligned(as: UInt64.self))
                a.op(0x3B, reg: Host.r9, .at(Host.r11, Int32(at)), wide: true)
                at += 8
            } else if end - at >= 4 {
                a.op(0x81, reg: 7, .at(Host.r11, Int32(at)))
                a.word(bytes.loadUnaligned(as: UInt32.self))
                at += 4
            } else {
                a.compareByte(.at(Host.r11, Int32(at)), bytes.load(as: UInt8.self))
                at += 1
            }
            stubs.append(a.jump(if: Condition.ne))
        }
    }
}
