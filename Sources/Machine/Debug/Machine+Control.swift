// SPDX-License-Identifier: Apache-2.0
//
// The machine under a debugger or held by the monitor: standing still, going one instruction, meeting a
// breakpoint.

import Debug
import Engine
import GuestInterfaces
import Support
import X86

extension Machine {
    /// Lets the engine run, with the debugger's points in force if there are any.
    @inline(__always)
    func runEngine(budget: UInt64) -> Exit {
        if !cpu.system.hasDebugPoints && !control.hasRunWithPoints { return engine.run(cpu, budget: budget) }
        return runWithPoints(cpu.debugPoints, budget)
    }

    @inline(never)
    private func runWithPoints(_ points: DebugPoints, _ budget: UInt64) -> Exit {
        if control.knownBreakpoints != points.breakpoints || control.knownWatchpoints != points.watchpoints {
            engine.flushCode()
            control.knownBreakpoints = points.breakpoints
            control.knownWatchpoints = points.watchpoints
        }
        control.hasRunWithPoints = !points.isEmpty
        points.mode = .armed
        // The interface must not be asked from inside the engine: what it reads and writes is not to be stopped.
        let edge = engine.edge
        engine.edge = nil
        defer {
            points.mode = .off
            engine.edge = edge
        }
        return engine.run(cpu, budget: budget)
    }

    /// The engine has stopped before an instruction with a point on it.
    func pointIsMet() {
        let points = cpu.debugPoints
        switch points.hit {
        case .breakpoint: control.stop(.breakpoint)
        // The access itself comes first, so that the new value can be seen.
        case .watchpoint, nil: control.skipsPoint = true
        }
        points.hit = nil
    }

    /// Something is to be done other than running on. Returns the outcome when the guest has ended.
    func attendControl(now: UInt64) throws(GuestDeath) -> MachineOutcome? {
        if control.wantsNMI, control.holders.isEmpty {
            control.wantsNMI = false
            control.isHalted = false
            try interface.raiseNMI(cpu)
            return nil
        }
        guard control.wantsStep || control.skipsPoint && control.holders.isEmpty else {
            standStill(now)
            return nil
        }
        if control.isHalted {
            guard try interface.deliverInterrupts(cpu, now: now) else {
                sleep(now)
                return nil
            }
            control.isHalted = false
            control.skipsPoint = false
            if control.wantsStep { control.stop(.step) }
            return nil
        }
        return try carryOutOne(now)
    }

    private func carryOutOne(_ now: UInt64) throws(GuestDeath) -> MachineOutcome? {
        let isStep = control.wantsStep
        control.skipsPoint = false
        let points = cpu.debugPoints
        points.hit = nil
        switch try interface.handle(Stepper.step(cpu), cpu) {
        case .run: break
        case .halt: control.isHalted = true
        case .end(.powerOff): return .powerOff
        case .end(.restart): return .restart
        }
        if case .watchpoint(let watchpoint) = points.hit {
            control.stop(.watchpoint(watchpoint))
        } else if isStep {
            if control.stepsTakeInterrupts, try interface.deliverInterrupts(cpu, now: now) {
                control.isHalted = false
            }
            control.stop(.step)
        }
        points.hit = nil
        return nil
    }

    /// Writes the core file if one is wanted; a line for the report about it.
    func dumpCore() -> String {
        guard let coreFile else { return "" }
        let failure = coreFile.write(self, CoreKernel(path: kernelName, commandLine: kernel.commandLine))
        return failure.map { "\nlguest: no core file: \($0)" }
            ?? "\nlguest: core file written: \(coreFile.name)"
    }

    /// After a death: the debugger may look at what is left, until it lets go.
    func holdForAutopsy(_ report: String) {
        guard control.isDebugged else { return }
        control.deathReport = report
        control.stop(.dead(report: report))
        while control.holders.contains(.debugger), !isStopRequested {
            if control.wantsStep { control.stop(.dead(report: report)) }
            eventLoop.wait(timeoutNanoseconds: nil)
        }
    }
}

extension Machine: DebuggedGuest {
    public var symbolTable: SymbolTable? { symbols.current }
    public var ramBytes: UInt64 { memory.ramSize }

    public var statisticsText: String { statistics() }

    public func interrupt() {
        guard !control.holders.contains(.debugger) || control.wantsStep else { return }
        control.stop(.paused)
    }

    public func resume() {
        control.skipsPoint = !cpu.debugPoints.isEmpty && control.deathReport == nil
        control.release(.debugger)
    }

    public func step() { control.wantsStep = true }

    public var stepsTakeInterrupts: Bool {
        get { control.stepsTakeInterrupts }
        set { control.stepsTakeInterrupts = newValue }
    }

    public func release() {
        control.wantsStep = false
        control.skipsPoint = false
        control.release(.debugger)
    }

    public func kill() { stop(.quit) }

    public func readPhysical(_ address: UInt64, count: Int) -> [UInt8]? {
        try? memory.readBytes(address, count: count)
    }

    public func writePhysical(_ address: UInt64, _ bytes: [UInt8]) -> Bool {
        (try? memory.writeBytes(bytes, at: address)) != nil
    }

    /// Puts the guest under a debugger, which hears of its stops. `waits`: it does not begin before the debugger
    /// lets it.
    public func debug(with observer: any StopObserver, waits: Bool) {
        control.observer = observer
        if waits { control.hold(.debugger) }
    }
}
