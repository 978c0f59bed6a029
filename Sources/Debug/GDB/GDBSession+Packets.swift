// SPDX-License-Identifier: Apache-2.0
//
// Sorts packets by their first letters. Each answer is one packet, but for those that let the guest run: they are
// answered when it stops.

import Support
import X86

extension GDBSession {
    func answer(_ packet: [UInt8]) {
        guard let first = packet.first else { return reply("") }
        let rest = packet.dropFirst()
        switch first {
        case UInt8(ascii: "?"): reply(stopReply)
        case UInt8(ascii: "g"): reply(allRegisters)
        case UInt8(ascii: "G"): setAllRegisters(rest)
        case UInt8(ascii: "p"): readRegister(rest)
        case UInt8(ascii: "P"): writeRegister(rest)
        case UInt8(ascii: "m"): readMemory(rest)
        case UInt8(ascii: "M"), UInt8(ascii: "X"): writeMemory(rest, isBinary: first == UInt8(ascii: "X"))
        case UInt8(ascii: "c"), UInt8(ascii: "s"):
            resume(at: rest, stepping: first == UInt8(ascii: "s"))
        case UInt8(ascii: "C"), UInt8(ascii: "S"):
            // The signal does not exist for a machine; an address may follow behind a semicolon.
            resume(
                at: rest.split(separator: UInt8(ascii: ";")).dropFirst().first ?? [],
                stepping: first == UInt8(ascii: "S"))
        case UInt8(ascii: "Z"), UInt8(ascii: "z"): changePoint(rest, insert: first == UInt8(ascii: "Z"))
        case UInt8(ascii: "H"): selectThread(rest)
        case UInt8(ascii: "T"): reply(task(numbered: rest) == nil ? "E01" : "OK")
        case UInt8(ascii: "D"):
            reply("OK")
            close()
        case UInt8(ascii: "k"):
            guest.kill()
            close()
        case UInt8(ascii: "v"): answerLong(String(decoding: packet, as: UTF8.self))
        case UInt8(ascii: "q"), UInt8(ascii: "Q"): answerQuery(String(decoding: packet, as: UTF8.self))
        default: reply("")
        }
    }

    private func answerLong(_ packet: String) {
        if packet == "vCont?" { return reply("vCont;c;C;s;S;t") }
        if packet.hasPrefix("vCont;") {
            // One processor: what is wanted of any thread is wanted of it.
            let actions = packet.dropFirst(6).split(separator: ";")
            if actions.contains(where: { $0.hasPrefix("t") }) {
                reply("OK")
                return guest.interrupt()
            }
            return resume(stepping: actions.contains { $0.hasPrefix("s") || $0.hasPrefix("S") })
        }
        if packet.hasPrefix("vKill") {
            reply("OK")
            guest.kill()
            return close()
        }
        reply("")
    }

    private func resume(at address: ArraySlice<UInt8>, stepping: Bool) {
        if let target = Self.number(address) { guest.cpu.eip = target }
        resume(stepping: stepping)
    }

    // Stops

    /// Why the guest stands, with the registers that debuggers ask for first.
    var stopReply: String {
        var text = "T05"
        let linear = guest.cpu[segment: SegmentIndex.cs].base &+ guest.cpu.eip
        switch lastStop {
        case .dead: text = "T0b"
        case .paused: text = "T02"
        case .step: text += "reason:trace;"
        case .breakpoint:
            if softwareBreakpoints.contains(linear) {
                if namesSoftwareBreakpoints { text += "swbreak:;" }
            } else if namesHardwareBreakpoints {
                text += "hwbreak:;"
            }
            text += "reason:breakpoint;"
        case .watchpoint(let point):
            let word = point.kind == .writes ? "watch" : point.kind == .reads ? "rwatch" : "awatch"
            text += "\(word):\(String(point.address, radix: 16));"
        }
        text += "thread:\(String(tasks.current().thread, radix: 16));"
        for (number, register) in DebugRegister.core.enumerated().prefix(10)
        where number == 4 || number == 5 || number == 8 {
            text += "\(Hex.text([UInt8(number)])):\(Hex.text(guest.cpu.bytes(of: register)));"
        }
        return text
    }

    // Registers

    private var allRegisters: String {
        if let saved = savedRegisters { return DebugRegister.all.map { Self.text($0, saved) }.joined() }
        return DebugRegister.all.map { Hex.text(guest.cpu.bytes(of: $0)) }.joined()
    }

    /// Those of the selected thread if it does not run.
    private var savedRegisters: SavedRegisters? {
        guard let selectedThread, selectedThread != tasks.current().thread,
            let task = tasks.all().first(where: { $0.thread == selectedThread })
        else { return nil }
        return tasks.savedRegisters(of: task) ?? SavedRegisters(eip: 0, esp: 0, ebp: 0)
    }

    /// What the kernel has saved, and `x` for what it has not.
    private static func text(_ register: DebugRegister, _ saved: SavedRegisters) -> String {
        switch register.kind {
        case .eip: Hex.text(saved.eip.littleEndianBytes)
        case .general(GPR.esp): Hex.text(saved.esp.littleEndianBytes)
        case .general(GPR.ebp): Hex.text(saved.ebp.littleEndianBytes)
        default: String(repeating: "x", count: register.bytes * 2)
        }
    }

    private func setAllRegisters(_ text: ArraySlice<UInt8>) {
        guard savedRegisters == nil, let bytes = Hex.bytes(text) else { return reply("E01") }
        var offset = 0
        for register in DebugRegister.all where offset + register.bytes <= bytes.count {
            _ = guest.cpu.set(register, Array(bytes[offset..<offset + register.bytes]))
            offset += register.bytes
        }
        reply("OK")
    }

    private func readRegister(_ text: ArraySlice<UInt8>) {
        guard let number = Self.number(text), number < UInt32(DebugRegister.all.count) else {
            return reply("E01")
        }
        let register = DebugRegister.all[Int(number)]
        if let saved = savedRegisters { return reply(Self.text(register, saved)) }
        reply(Hex.text(guest.cpu.bytes(of: register)))
    }

    private func writeRegister(_ text: ArraySlice<UInt8>) {
        let parts = text.split(separator: UInt8(ascii: "="), maxSplits: 1)
        guard parts.count == 2, let number = Self.number(parts[0]), let value = Hex.bytes(parts[1]),
            number < UInt32(DebugRegister.all.count), savedRegisters == nil,
            guest.cpu.set(DebugRegister.all[Int(number)], value)
        else { return reply("E01") }
        reply("OK")
    }

    // Memory

    private func readMemory(_ text: ArraySlice<UInt8>) {
        let parts = text.split(separator: UInt8(ascii: ","))
        guard parts.count == 2, let address = Self.number(parts[0]), let count = Self.number(parts[1]) else {
            return reply("E01")
        }
        let bytes = view.bytes(address, count: Int(min(count, 0x1F00)))
        reply(bytes.isEmpty && count > 0 ? "E0e" : Hex.text(bytes))
    }

    private func writeMemory(_ text: ArraySlice<UInt8>, isBinary: Bool) {
        let parts = text.split(separator: UInt8(ascii: ":"), maxSplits: 1, omittingEmptySubsequences: false)
        let numbers = parts[0].split(separator: UInt8(ascii: ","))
        guard parts.count == 2, numbers.count == 2, let address = Self.number(numbers[0]),
            let count = Self.number(numbers[1]), let bytes = isBinary ? Array(parts[1]) : Hex.bytes(parts[1]),
            bytes.count == Int(count)
        else { return reply("E01") }
        reply(view.write(address, bytes) ? "OK" : "E0e")
    }

    // Breakpoints and watchpoints

    private func changePoint(_ text: ArraySlice<UInt8>, insert: Bool) {
        let parts = text.split(separator: UInt8(ascii: ","))
        guard parts.count >= 3, let type = Self.number(parts[0]), let address = Self.number(parts[1]),
            let size = Self.number(parts[2].prefix { $0 != UInt8(ascii: ";") })
        else { return reply("E01") }
        let cpu = guest.cpu
        switch type {
        case 0, 1:
            if type == 0 { softwareBreakpoints.toggle(address, insert) }
            if type == 1 { hardwareBreakpoints.toggle(address, insert) }
            if insert {
                cpu.insertBreakpoint(address)
            } else if !softwareBreakpoints.contains(address), !hardwareBreakpoints.contains(address) {
                cpu.removeBreakpoint(address)
            }
        case 2...4:
            let kinds: [WatchKind] = [.writes, .reads, [.reads, .writes]]
            let point = Watchpoint(address: address, length: size, kind: kinds[Int(type) - 2])
            if insert { cpu.insertWatchpoint(point) } else { cpu.removeWatchpoint(point) }
        default: return reply("")
        }
        reply("OK")
    }

    // Threads

    private func selectThread(_ text: ArraySlice<UInt8>) {
        guard text.first == UInt8(ascii: "g") else { return reply("OK") }
        let number = text.dropFirst()
        if number.elementsEqual("-1".utf8) || number.elementsEqual("0".utf8) {
            selectedThread = nil
            return reply("OK")
        }
        guard let task = task(numbered: number) else { return reply("E01") }
        selectedThread = task.thread
        reply("OK")
    }

    func task(numbered text: ArraySlice<UInt8>) -> GuestTask? {
        guard let number = Self.number(text) else { return nil }
        return tasks.all().first { $0.thread == Int(number) }
    }

    static func number(_ text: some Sequence<UInt8>) -> UInt32? {
        UInt32(String(decoding: Array(text), as: UTF8.self), radix: 16)
    }
}

extension Set<UInt32> {
    fileprivate mutating func toggle(_ element: UInt32, _ isMember: Bool) {
        if isMember { insert(element) } else { remove(element) }
    }
}
