// SPDX-License-Identifier: Apache-2.0
//
// The stack, and what ends blocks. A direct jump goes straight to the next block's code once that is known;
// to another page, after a look whether that page is still mapped where it was. Indirect jumps and returns
// look into the jump table.

import X86

extension BlockEmitter {
    // Stack

    /// Pushes what `body` stores to the operand it is given.
    func pushing(_ k: Int, _ body: @escaping (RM) -> Void) {
        if usesWindow {
            windowAccess(k, at: Host.esp, -4, 4, .write, stackChange: -4, body)
            return
        }
        preserveFlags(k)
        a.lea(Host.r11, .at(Host.esp, -4))
        access(
            k, at: Host.r11, 4, .write,
            finish: { [self] in a.move(Host.esp, Host.r11) }, body)
    }

    func emitPush(_ k: Int) {
        let i = instructions[k]
        switch i.destination.kind {
        case .register:
            let register = hostRegister(i.destination.index)
            pushing(k) { [self] rm in a.store(rm, register) }
        case .memory:
            access(k, 4, .read) { [self] rm in
                a.load(Host.r9, rm)
                a.store(a.field(layout.spill), Host.r9)
            }
            pushing(k) { [self] rm in
                a.load(Host.r9, a.field(layout.spill))
                a.store(rm, Host.r9)
            }
        default: pushing(k) { [self] rm in a.storeImmediate(rm, i.immediate) }
        }
    }

    func emitPushSegment(_ k: Int) {
        let selector = layout.segmentSelector(Int(instructions[k].destination.index))
        pushing(k) { [self] rm in
            a.op(0xB7, map: 1, reg: Host.r9, a.field(selector))
            a.store(rm, Host.r9)
        }
    }

    func emitPop(_ k: Int) {
        guard !instructions[k].destination.isMemory else {
            emitPopToMemory(k)
            return
        }
        let to = hostRegister(instructions[k].destination.index)
        if usesWindow && to != Host.esp {
            windowAccess(k, at: Host.esp, 0, 4, .read, stackChange: 4) { [self] rm in a.load(to, rm) }
            return
        }
        access(k, at: Host.esp, 4, .read) { [self] rm in
            a.load(to, rm)
            if to != Host.esp { a.lea(Host.esp, .at(Host.esp, 4)) }
        }
    }

    /// An address that uses ESP is formed after the increment.
    private func emitPopToMemory(_ k: Int) {
        access(k, at: Host.esp, 4, .read) { [self] rm in
            a.load(Host.r9, rm)
            a.store(a.field(layout.spill), Host.r9)
        }
        preserveFlags(k)
        var register = formAddress(k)
        if instructions[k].base == UInt8(GPR.esp) {
            a.lea(Host.r11, .at(register, 4))
            register = Host.r11
        }
        access(
            k, at: register, 4, .write,
            finish: { [self] in a.lea(Host.esp, .at(Host.esp, 4)) }
        ) { [self] rm in
            a.load(Host.r9, a.field(layout.spill))
            a.store(rm, Host.r9)
        }
    }

    func emitLeave(_ k: Int) {
        access(k, at: Host.rbp, 4, .read) { [self] rm in
            a.load(Host.r9, rm)
            a.lea(Host.esp, .at(Host.rbp, 4))
            a.move(Host.rbp, Host.r9)
        }
    }

    // Branches

    func emitBranch(_ k: Int) {
        let i = instructions[k]
        let target = endEIP &+ i.immediate
        switch i.operation {
        case .jcc: emitConditional(k)
        case .jmp:
            if i.destination.kind == .relative {
                emitLink(to: target)
            } else {
                emitTarget(k)
                saveForJump()
                emitIndirect()
            }
        case .call:
            if i.destination.kind == .relative {
                pushing(k) { [self] rm in a.storeImmediate(rm, endEIP) }
                settleStack()
                emitLink(to: target, isCall: true)
            } else {
                emitTarget(k)
                a.store(a.field(layout.exitLink), Host.r9)
                pushing(k) { [self] rm in a.storeImmediate(rm, endEIP) }
                settleStack()
                a.load(Host.r9, a.field(layout.exitLink))
                saveForJump()
                probeStack()
                a.pushImmediate(endEIP)
                let jump = a.call()
                outOfLine.append { [self] in
                    a.bind(jump)
                    emitIndirect()
                }
                emitReturnPoint()
            }
        case .ret:
            let extra = i.destination.kind == .immediate ? Int32(i.immediate & 0xFFFF) : 0
            if usesWindow {
                windowAccess(k, at: Host.esp, 0, 4, .read, stackChange: 4 + extra) { [self] rm in
                    a.load(Host.r9, rm)
                }
                settleStack()
            } else {
                access(k, at: Host.esp, 4, .read) { [self] rm in
                    a.load(Host.r9, rm)
                    a.lea(Host.esp, .at(Host.esp, 4 + extra))
                }
            }
            saveForJump()
            a.op(0x3B, reg: Host.r9, .at(Host.rsp, 8))
            a.jump(if: Condition.ne, to: thunks.returnMiss)
            a.ret()
        default:
            let isLoop = i.operation == .loop
            if isLoop { a.lea(Host.rcx, .at(Host.rcx, -1)) }
            let zero = a.shortJump(0xE3)
            emitLink(to: isLoop ? target : endEIP)
            a.bindShort(zero)
            emitLink(to: isLoop ? endEIP : target)
        }
    }

    /// The target of an indirect jump or call in R9.
    private func emitTarget(_ k: Int) {
        let i = instructions[k]
        if i.destination.isMemory {
            access(k, 4, .read) { [self] rm in a.load(Host.r9, rm) }
        } else {
            a.move(Host.r9, hostRegister(i.destination.index))
        }
    }

    /// Before a jump through the table, which spoils the host's flags and R9–R11; R9 is kept.
    private func saveForJump() {
        guard place == .host else { return }
        a.saveFlags(layout, scratch: Host.r11)
        place = .saved
    }

    private func emitConditional(_ k: Int) {
        let i = instructions[k]
        let code = i.condition
        let target = addresses[k] &+ UInt32(i.length) &+ i.immediate
        let left = instructions.count - k - 1
        var condition = Int(code)
        if place == .saved {
            if code >= 12 {
                a.restoreFlags(layout)
                place = .both
            } else {
                // One look at the saved flags; code 0 is about OF, which is in the low byte.
                let masks: [UInt8] = [1, 1, 0x40, 0x41, 0x80, 0x04]
                a.op(0xF6, reg: 0, a.field(layout.flagImage + (code < 2 ? 0 : 1)))
                a.byte(masks[Int(code >> 1)])
                condition = code & 1 == 0 ? Condition.ne : Condition.e
            }
        }
        emitLink(to: target, if: condition, notRun: Int32(left))
        if left == 0 { emitLink(to: endEIP) }
    }

    /// Makes sure that there is room for a call; an empty stack takes the place of a full one. Changes R10.
    private func probeStack() {
        a.load(Host.r10, .at(Host.rsp, -Int32(CodeStack.reserve)))
    }

    /// Where the host's return from a guest's CALL comes to: the expected address is still on the stack, the flags
    /// are saved.
    private func emitReturnPoint() {
        a.lea64(Host.rsp, .at(Host.rsp, 8))
        place = .saved
        emitLink(to: endEIP)
    }

    /// A jump to the block at `target`, under a condition or always, that skips `notRun` instructions of this one;
    /// or a call of it.
    func emitLink(to target: UInt32, if condition: Int? = nil, notRun: Int32 = 0, isCall: Bool = false) {
        let number = cache.links.count
        let samePage = target >> 12 == eip >> 12
        cache.links.append(
            Link(
                jump: 0, stub: 0, guardValue: -1, target: target,
                flagsSaved: samePage ? place != .host : true,
                flagsInHost: samePage ? place != .saved : false, path: cache.path))
        if !samePage && condition == nil {
            if place == .host { a.saveFlags(layout) }
            emitGuard(number, target, isCall: isCall)
            return
        }
        if isCall {
            probeStack()
            a.pushImmediate(endEIP)
        }
        let jump = condition.map { a.jump(if: $0) } ?? (isCall ? a.call() : a.jump())
        let mustSave = place == .host
        outOfLine.append { [self] in
            a.bind(jump)
            var jump = jump
            if notRun > 0 {
                a.lea64(Host.budget, .at(Host.budget, notRun))
                if samePage {
                    jump = a.jump()
                    a.bind(jump)
                }
            }
            if samePage {
                emitStub(number, jump, to: mustSave ? thunks.linkSavingFlags : thunks.link)
            } else {
                if mustSave { a.saveFlags(layout) }
                emitGuard(number, target, isCall: false)
            }
        }
        if isCall { emitReturnPoint() }
    }

    /// Where link `number` goes while its target is not known.
    private func emitStub(_ number: Int, _ jump: Int, to exit: Int) {
        cache.links[number].jump = Int32(jump)
        cache.links[number].stub = Int32(a.here)
        a.immediate(Host.r11, UInt32(number))
        a.jump(to: exit)
    }

    /// Goes on in another page if that is mapped as it was when the link was made. The flags are saved.
    private func emitGuard(_ number: Int, _ target: UInt32, isCall: Bool) {
        a.load64(Host.r11, a.field(layout.executeTable))
        a.immediate64(Host.r9, UInt64.max)
        cache.links[number].guardValue = Int32(a.here - 8)
        a.op(
            0x3B, reg: Host.r9, .at(Host.r11, Int32(bitPattern: target >> 12) * 8), wide: true)
        guard isCall else {
            let differs = a.shortJump(0x75)
            let jump = a.jump()
            a.bindShort(differs)
            a.bind(jump)
            emitStub(number, jump, to: thunks.link)
            return
        }
        let differs = a.jump(if: Condition.ne)
        probeStack()
        a.pushImmediate(endEIP)
        let jump = a.call()
        outOfLine.append { [self] in
            a.bind(differs)
            a.bind(jump)
            emitStub(number, jump, to: thunks.link)
        }
        emitReturnPoint()
    }

    /// Goes on at the linear address in R9: straight on if that is where this jump went first and the page is still
    /// where it was, else by the jump table. The flags are saved.
    func emitIndirect() {
        let number = cache.links.count
        var link = Link(
            jump: 0, stub: 0, guardValue: -1, target: 0, flagsSaved: true, flagsInHost: false,
            path: cache.path)
        a.op(0x81, reg: 7, .register(Host.r9))
        a.word(UInt32.max)
        link.expected = Int32(a.here - 4)
        let other = a.jump(if: Condition.ne)
        link.fillJump = Int32(other)
        a.load64(Host.r11, a.field(layout.executeTable))
        a.immediate64(Host.r10, UInt64.max)
        link.guardValue = Int32(a.here - 8)
        // Any place in the table will do until this is patched: no entry is all ones.
        a.op(0x3B, reg: Host.r10, .at(Host.r11, 0x1000), wide: true)
        link.tablePlace = Int32(a.here - 4)
        let moved = a.jump(if: Condition.ne)
        link.jump = Int32(a.jump())
        cache.links.append(link)
        outOfLine.append { [self] in
            a.bind(Int(link.jump))
            a.bind(moved)
            cache.links[number].stub = Int32(a.here)
            Thunks.indirect(&a, layout, miss: thunks.indirectMiss, hasBMI2: hasBMI2)
            a.bind(other)
            a.immediate(Host.r11, UInt32(number))
            a.jump(to: thunks.firstIndirect)
        }
    }
}
