// SPDX-License-Identifier: Apache-2.0
//
// What the engine does so that generated code can go from user code into the kernel and back by itself (see
// `CrossingThunks`), and the two parts of its stack: user code returns only by what user code has left there.

import Support
import X86

extension Translator {
    /// How code in the CPU's present state is to reach memory.
    @inline(__always)
    var wantedPath: MemoryPath {
        if cpu.cpl == 3 { return cpu.wantedWindow != 0 ? .window : .flat }
        return cpu.looksAtEachAccess ? .flat : kernelPath
    }

    @inline(__always)
    private var kernelPath: MemoryPath {
        windows.direct.isOpen && !cpu.system.hasDebugPoints ? .direct : .flat
    }

    /// Chooses the kind of blocks for the CPU's present state, and prepares for the other privilege.
    @inline(__always)
    func selectBlocks() {
        prepareCrossings()
        let path = wantedPath
        if path == .window { cpu.system.translator.window = cpu.wantedWindow }
        guard path != cache.path else { return }
        if path != .window { cpu.system.translator.window = 0 }
        cache.path = path
        cpu.system.translator.crossing.path = UInt32(path.rawValue)
        cpu.system.translator.jumps = UInt(bitPattern: cache.code.jumpTable(path))
    }

    /// Generated code has come back: perhaps at another privilege.
    @inline(__always)
    func followPath() {
        let path = cpu.system.translator.crossing.path
        if path != UInt32(cache.path.rawValue) {
            cache.path = MemoryPath(rawValue: UInt8(truncatingIfNeeded: path)) ?? .flat
        }
    }

    @inline(__always)
    private func prepareCrossings() {
        let window = cpu.userWindow
        let kernel = kernelPath
        let user: MemoryPath = window != 0 ? .window : .flat
        cpu.system.translator.crossing.isAllowed = connects && !cpu.system.hasDebugPoints ? 1 : 0
        cpu.system.translator.crossing.kernelPath = UInt32(kernel.rawValue)
        cpu.system.translator.crossing.userPath = UInt32(user.rawValue)
        cpu.system.translator.crossing.kernelJumps = UInt(bitPattern: cache.code.jumpTable(kernel))
        cpu.system.translator.crossing.userJumps = UInt(bitPattern: cache.code.jumpTable(user))
        cpu.system.translator.crossing.userWindow = window
        cpu.system.translator.crossing.tables = UInt(bitPattern: cpu.system.systemReadTable)
    }

    // The stack of generated code

    /// Before generated code is entered with an empty stack.
    func resetCodeStack() {
        cpu.system.translator.codeStackBase = stack.base
        cpu.system.translator.crossing.stackBase = stack.base
        cpu.system.translator.crossing.lowestKernelStack = stack.lowestKernelBase
        cpu.system.translator.crossing.userStack = stack.base
        cpu.system.translator.crossing.onKernelStack = cpu.cpl == 3 ? 0 : 1
    }

    /// Before generated code goes on: whether its stack has been changed, so that it cannot return.
    @inline(__always)
    func settleCodeStack() -> Bool {
        switch cpu.takeCodeMoved() {
        case .everywhere:
            // Returns rely on where code was.
            resetCodeStack()
            cpu.system.translator.codeStack = stack.base &- 8
            return true
        case .inUserPart: cpu.system.translator.crossing.userStack = stack.base
        case .nowhere: break
        }
        let isUser = cpu.cpl == 3
        guard isUser == (cpu.system.translator.crossing.onKernelStack != 0) else { return false }
        if isUser {
            cpu.system.translator.codeStack = cpu.system.translator.crossing.userStack &- 8
            cpu.system.translator.codeStackBase = stack.base
        } else {
            var base = cpu.system.translator.codeStack &+ 8
            if base < stack.lowestKernelBase { base = stack.base }
            cpu.system.translator.codeStack = base &- 8
            cpu.system.translator.crossing.userStack = base
            cpu.system.translator.codeStackBase = base
        }
        cpu.system.translator.crossing.onKernelStack = isUser ? 0 : 1
        return true
    }

    /// Crossings that generated code has made by itself.
    var crossingReadings: [CounterReading] {
        [
            CounterReading(.handledInCode, label: "system call", cpu.system.translator.crossing.entries),
            CounterReading(.handledInCode, label: "return to user", cpu.system.translator.crossing.returns),
        ].filter { $0.value > 0 }
    }
}
