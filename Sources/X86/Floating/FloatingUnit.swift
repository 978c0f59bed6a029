// SPDX-License-Identifier: Apache-2.0
//
// The x87, MMX and SSE units: which instructions there are is said by the rows of
// `InstructionRows+Floating`, results come from the host's own unit (`floating.h`), and what is
// left for this folder is the architecture around them: who may run when, what memory is touched,
// what the guest's status and control words say, which exception is raised.

extension CPU {
    /// Carries out one instruction of these units. EIP is at the instruction and stays there. A
    /// fault leaves everything as it was, except for the exception flags of MXCSR, which #XM shows.
    public func executeFloating(_ i: Instruction) throws(Fault) {
        switch i.operation {
        case .sseMemory: try executeSSEMove(i)
        case .sse: try executeSSE(i)
        case .sseNumeric: try executeSSENumeric(i)
        case .sseImmediate: try executeSSEImmediate(i)
        case .sseCompare: try executeSSECompare(i)
        case .sseToGeneral: try executeSSEToGeneral(i)
        case .sseFromGeneral: try executeSSEFromGeneral(i)
        case .sseMoveMask: try executeSSEMoveMask(i)
        case .sseConvert: try executeSSEConvert(i)
        case .x87: try executeX87(i)
        case .x87Memory: try executeX87Memory(i)
        case .mmx: try executeMMX(i)
        case .mmxImmediate: try executeMMXImmediate(i)
        case .mmxMove: try executeMMXMove(i)
        case .maskmov: try executeMaskedMove(i)
        case .emms: try executeEMMS()
        case .fxsave: try executeFXSAVE(i)
        case .fxrstor: try executeFXRSTOR(i)
        case .ldmxcsr, .stmxcsr: try executeMXCSR(i)
        case .wait: try executeWait()
        case .clflush:
            // Our caches are the host's; what remains is the check of a one-byte read.
            let _: UInt8 = try load(try operandAddress(i, size: 1, write: false))
        case .fence:
            // One processor sees its own accesses in order.
            break
        default: throw .invalidOpcode
        }
    }

    /// The state that FNINIT gives, MXCSR after reset, all registers zero.
    public func resetFPU() {
        system.fpu = FPUState()
    }

    // Who may run: Intel SDM volume 3, tables 2-2 and 23-2 to 23-8.

    /// Before an x87 instruction other than WAIT.
    @inline(__always)
    func requireX87() throws(Fault) {
        if system.cr0 & (ControlBits.em | ControlBits.ts) != 0 { throw .deviceNotAvailable }
    }

    /// Before an instruction on MMX registers.
    @inline(__always)
    func requireMMX() throws(Fault) {
        if system.cr0 & (ControlBits.em | ControlBits.ts) != 0 {
            throw system.cr0 & ControlBits.em != 0 ? .invalidOpcode : .deviceNotAvailable
        }
        try raisePending()
    }

    /// Before an instruction on XMM registers or MXCSR.
    @inline(__always)
    func requireSSE() throws(Fault) {
        if system.cr0 & ControlBits.em != 0 || system.cr4 & ControlBits.osfxsr == 0 {
            throw .invalidOpcode
        }
        if system.cr0 & ControlBits.ts != 0 { throw .deviceNotAvailable }
    }

    /// Whether an x87 exception that the guest has not masked waits for the next instruction.
    @inline(__always)
    var hasPendingX87: Bool { fsw & ~fcw & 0x3F != 0 }

    /// What waiting x87 instructions do first. CR0.NE is taken as set: there is no FERR# pin.
    @inline(__always)
    func raisePending() throws(Fault) {
        if hasPendingX87 { throw Fault(vector: Vector.floatingPoint) }
    }

    private func executeWait() throws(Fault) {
        let both = ControlBits.ts | ControlBits.mp
        if system.cr0 & both == both { throw .deviceNotAvailable }
        try raisePending()
    }
}
