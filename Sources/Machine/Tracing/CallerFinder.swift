// SPDX-License-Identifier: Apache-2.0
//
// Who called a function of the guest's kernel, in the middle of a trace: from what lies on the stack and from the
// kernel's code, since most kernels are built without frame pointers.

import Debug
import X86

final class CallerFinder {
    private let cpu: CPU
    private let symbols: GuestSymbols
    private var stubs: [UInt32: Bool] = [:]
    private var jumps: [UInt32: Jumps] = [:]
    /// What was found at words of the stack, each in one place, so that a newer one takes the place of an older.
    private var sites = [Site](repeating: Site(), count: siteCount)
    private var functions = [(address: UInt32, start: UInt32?)](repeating: (0, nil), count: functionCount)
    /// Where the kernel's code is; nil until somebody asks, and again when symbols have turned up. Two plain ranges: a list of them
    /// would make traces with callers five percent slower.
    private var text: (always: Range<UInt32>, early: Range<UInt32>)?

    private static let siteCount = 4096
    private static let functionCount = 1024

    private struct Jumps {
        var targets: Set<UInt32> = []
        var others = false
    }

    /// Bytes of a function in which jumps are looked for.
    private static let longestFunction = 1024

    /// Where most kernels' part of the address space begins.
    private static let kernelSpace: UInt32 = 0xC000_0000

    /// Words of the stack that are looked at.
    private static let depth: UInt64 = 40

    init(_ cpu: CPU, _ symbols: GuestSymbols) {
        self.cpu = cpu
        self.symbols = symbols
    }

    /// Return addresses above the stack pointer, where the guest is in a function that only passes requests on: of
    /// its caller, and of that one's. Not all that looks like one is: functions leave old ones in variables that they
    /// have not set yet. So a call that goes to the function in question, or to one that ends with a jump there, is
    /// believed first, then the innermost that may have led there; where there is neither, what looks like one must do.
    func callers() -> SIMD2<UInt32> {
        guard cpu.cpl != 3, isStub(cpu.eip) else { return SIMD2() }
        let stack = cpu[r32: GPR.esp]
        guard stack & 3 == 0, let start = cpu.peekTranslate(stack) else { return SIMD2() }
        // Kernel stacks are aligned to more than their size: what is in another page is not looked at.
        let end = min(start + Self.depth * 4, (start | 0xFFF) + 1)
        var rest = start..<end
        let function = function(at: cpu.eip)
        // With frame pointers, nothing below the first one's frame is of interest, where it leads to our caller.
        let frame = start + UInt64(cpu[r32: GPR.ebp] &- stack) + 4
        if frame & 3 == 0, rest.contains(frame), fit(of: word(frame), function) == .certain {
            rest = frame..<end
        }
        guard let first = caller(of: function, &rest, leastFit: .possible) else { return SIMD2() }
        let second = caller(of: self.function(at: first), &rest, leastFit: .unknown)
        return SIMD2(first, second ?? 0)
    }

    /// How well a word on the stack fits as the place from where a function was called.
    private enum Fit: Int {
        case certain, unknown, possible
    }

    /// The best return address in `rest` (physical addresses), which then begins behind it.
    private func caller(of function: UInt32?, _ rest: inout Range<UInt64>, leastFit: Fit) -> UInt32? {
        var best: (word: UInt32, place: UInt64, fit: Fit)?
        for place in stride(from: rest.lowerBound, to: rest.upperBound, by: 4) {
            let word = word(place)
            guard let fit = fit(of: word, function), fit.rawValue <= leastFit.rawValue,
                fit.rawValue < best?.fit.rawValue ?? .max
            else { continue }
            best = (word, place, fit)
            if fit == .certain { break }
        }
        guard let best else { return nil }
        rest = best.place + 4..<rest.upperBound
        return best.word
    }

    private func word(_ physical: UInt64) -> UInt32 { (try? cpu.memory.read(physical)) ?? 0 }

    /// Nil for what is no return address.
    private func fit(of word: UInt32, _ function: UInt32?) -> Fit? {
        let isKernel = isText(word)
        guard isKernel || mayBeModule(word) else { return nil }
        let site = site(word)
        let start: UInt32?
        switch site.kind {
        case .none: return nil
        case .unknown: return isKernel ? .unknown : nil
        case .call: start = site.target
        case .pointer: start = cpu.peekWord(site.target ?? 0).flatMap(self.function)
        }
        guard let function else { return isKernel ? .unknown : nil }
        if start == function { return .certain }
        guard isKernel else { return nil }
        guard let start else { return .possible }
        // Or it goes to a function that ends with a jump there.
        let jumps = jumps(of: start)
        return jumps.targets.contains(function) ? .certain : jumps.others ? .unknown : .possible
    }

    private func isText(_ address: UInt32) -> Bool {
        if let text { return text.always.contains(address) || text.early.contains(address) }
        let ranges = symbols.text.ranges
        let found = (ranges.first ?? 0..<0, ranges.count > 1 ? ranges[1] : 0..<0)
        text = found
        return found.0.contains(address) || found.1.contains(address)
    }

    /// The beginning of the function that `address` is in.
    private func function(at address: UInt32) -> UInt32? {
        let index = Int((address ^ address >> 11) % UInt32(Self.functionCount))
        if functions[index].address == address { return functions[index].start }
        let start = symbols.function(at: address)
        functions[index] = (address, start)
        return start
    }

    /// Modules lie beyond the kernel's map of memory. They have no names here, but one that calls a function of the
    /// kernel is its caller all the same.
    private func mayBeModule(_ address: UInt32) -> Bool {
        address >= Self.kernelSpace && UInt64(address - Self.kernelSpace) >= cpu.memory.ramSize
    }

    /// Where the function at `start` may go by a jump, when it is done: to the beginnings of `targets`, and to elsewhere.
    private func jumps(of start: UInt32) -> Jumps {
        if let known = jumps[start] { return known }
        forgetIfMany()
        var code: [UInt8] = []
        while code.count < Self.longestFunction, symbols.function(at: start &+ UInt32(code.count)) == start {
            for _ in 0..<16 { code.append(cpu.peek(start &+ UInt32(code.count)) ?? 0) }
        }
        var result = Jumps()
        func add(_ target: UInt32) {
            if target != start, symbols.function(at: target) == target { result.targets.insert(target) }
        }
        for at in code.indices.dropLast(5) {
            switch code[at] {
            case 0xE9:
                let distance = code[(at + 1)...(at + 4)].reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
                add(start &+ UInt32(at) &+ 5 &+ distance)
            case 0xEB:
                add(start &+ UInt32(at) &+ 2 &+ UInt32(bitPattern: Int32(Int8(bitPattern: code[at + 1]))))
            // Through a register or a variable; a table of cases has an index, and stays within the function.
            case 0xFF where code[at + 1] >> 3 & 7 == 4 && code[at + 1] & 7 != 4: result.others = true
            default: break
            }
        }
        jumps[start] = result
        return result
    }

    private func isStub(_ address: UInt32) -> Bool {
        if let known = stubs[address] { return known }
        forgetIfMany()
        let name = symbols.lookup(address)?.symbol.name
        let result = name.map { name in cpu.owner.tap.stubs.contains { name.hasPrefix($0) } } ?? false
        stubs[address] = result
        return result
    }

    /// What is before an address.
    private struct Site {
        enum Kind {
            /// No call.
            case none
            /// A call to what is in a register, or somewhere in memory.
            case unknown
            /// A call to the function that begins at `target`.
            case call
            /// A call through the variable at `target`, as those to a hypervisor are before the kernel has patched them.
            case pointer
        }

        var address: UInt32 = 0
        var kind = Kind.none
        var target: UInt32?
    }

    private func site(_ address: UInt32) -> Site {
        let index = Int((address ^ address >> 12) % UInt32(Self.siteCount))
        if sites[index].address == address { return sites[index] }
        let site = look(before: address)
        sites[index] = site
        return site
    }

    private func look(before address: UInt32) -> Site {
        func word() -> UInt32 {
            (1...UInt32(4)).reduce(0) { $0 << 8 | UInt32(cpu.peek(address &- $1) ?? 0) }
        }
        if cpu.peek(address &- 5) == 0xE8 {
            return Site(address: address, kind: .call, target: symbols.function(at: address &+ word()))
        }
        if cpu.peek(address &- 6) == 0xFF, cpu.peek(address &- 5) == 0x15 {
            return Site(address: address, kind: .pointer, target: word())
        }
        let bytes = (0..<UInt32(7)).map { cpu.peek(address &- 7 &+ $0) ?? 0 }
        return Site(address: address, kind: CallEncoding.endsWithIndirectCall(bytes) ? .unknown : .none)
    }

    /// A kernel has a few thousand such places; one that makes up more does not fill our memory.
    private func forgetIfMany() {
        guard stubs.count + jumps.count > 1 << 14 else { return }
        stubs.removeAll()
        jumps.removeAll()
    }

    /// Symbols have turned up, so what was no stub may be one.
    func forget() {
        stubs.removeAll()
        jumps.removeAll()
        text = nil
        sites = [Site](repeating: Site(), count: Self.siteCount)
        functions = [(address: UInt32, start: UInt32?)](repeating: (0, nil), count: Self.functionCount)
    }
}
