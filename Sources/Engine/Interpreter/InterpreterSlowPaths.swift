// SPDX-License-Identifier: Apache-2.0
//
// What the run loop does when there is no block at hand: build one, step over a single instruction,
// or report why not.

import X86

extension Interpreter {
    enum Located {
        case block(UnsafeMutablePointer<MicroOp>)
        /// One instruction was carried out without a block.
        case stepped
        case exit(Exit)
    }

    /// Finds or builds the block at EIP.
    @inline(never)
    func locate(_ cpu: CPU) -> Located {
        let mode = cpu.mode
        // Without a flat code segment each fetch needs a limit check: no blocks.
        guard mode.contains(.flatCode) else { return single(cpu) }
        do throws(Fault) {
            // Known to cross the page's end: no use looking for a block.
            if cpu.eip & 0xFFF > 0x1000 - 15, let known = try split.find(cpu) {
                return try carryOut(known, cpu)
            }
            guard let host = try cpu.codeAddress(cpu.eip) else { return single(cpu) }
            if let found = cache.findInPage(host, mode) { return .block(found) }
            cache.makeRoom()
            if let built = cache.build(host, mode) {
                cpu.protectCode(host: host)
                return .block(built)
            }
            return single(cpu)
        } catch {
            return .exit(.exception(error))
        }
    }

    /// Decodes and carries out one instruction wherever its bytes are: across a page boundary, in
    /// device memory, in a segment with a limit.
    @inline(never)
    func single(_ cpu: CPU) -> Located {
        do throws(Fault) {
            return try carryOut(try fetch(cpu), cpu)
        } catch {
            return .exit(.exception(error))
        }
    }

    /// Carries out one instruction without a block.
    private func carryOut(_ i: Instruction, _ cpu: CPU) throws(Fault) -> Located {
        cache.counters.singleSteps += 1
        cpu.system.wrapsAround = true
        defer { cpu.system.wrapsAround = false }
        let outcome = try cpu.execute(i)
        cpu.instructions &+= 1
        return Interpreter.exit(outcome).map { .exit($0) } ?? .stepped
    }

    /// The instruction at EIP, from the cache of split ones if it can be.
    private func fetch(_ cpu: CPU) throws(Fault) -> Instruction {
        guard cpu.mode.contains(.flatCode) else { return try cpu.fetch() }
        if let known = try split.find(cpu) { return known }
        let i = try cpu.fetch()
        try split.insert(i, cpu)
        return i
    }

    static func exit(_ outcome: StepOutcome) -> Exit? {
        switch outcome {
        case .advance, .repeat: nil
        case .softwareInterrupt(let vector, let length): .softwareInterrupt(vector: vector, length: length)
        case .vmcall: .vmcall
        case .halt: .halt
        case .debugTrap: .debugTrap
        }
    }

    /// Deals with `cpu.attention` between two blocks; nil to go on.
    @inline(never)
    func attend(_ cpu: CPU) -> Exit? {
        Attending.attend(cpu) {
            if case .exit(let exit) = single(cpu) { exit } else { nil }
        }
    }
}
