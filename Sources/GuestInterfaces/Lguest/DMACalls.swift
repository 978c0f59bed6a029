// SPDX-License-Identifier: Apache-2.0
//
// Linux 2.6.23: where it starts, and the two hypercalls of its devices (docs: lguest ABI 1.7, 8.7).

import Devices
import X86

/// Where a kernel begins that is found by its signature.
public struct SignatureEntry: Sendable {
    /// Virtual address of the first instruction.
    public var entry: UInt32
    /// Where RAM begins in the kernel's address space.
    public var pageOffset: UInt32

    public init(entry: UInt32, pageOffset: UInt32) {
        self.entry = entry
        self.pageOffset = pageOffset
    }
}

extension LguestInterface {
    private enum DMACall {
        static let bind: UInt32 = 12
        static let send: UInt32 = 13
    }

    /// Paging is on from the start, with tables that the host has built: these kernels have none of their own yet.
    func startAtSignature(_ signature: SignatureEntry, _ cpu: CPU) {
        abi.kernelAddress = signature.pageOffset
        abi.argumentsStartInEDX = true
        abi.ringHasEDXFirst = true
        do throws(GuestDeath) {
            enablePaging(try buildInitialTables(cpu), cpu)
        } catch {
            startFailure = error
        }
        cpu.eip = signature.entry
    }

    /// What a call of the device bus returns in EAX; nil when it is none of these calls.
    func dmaCall(_ call: HypercallFrame, _ bus: LguestDMABus, _ cpu: CPU) throws(GuestDeath) -> UInt32? {
        guard call.number == DMACall.bind || call.number == DMACall.send else { return nil }
        let kind = firstKind + LguestTrace.firstDMAKind + Int(call.number - DMACall.bind)
        let mark = cpu.traces(LguestTrace.calls) ? tap.begin(kind, call.a1, call.a2, call.a3) : .none
        defer { tap.end(mark) }
        switch call.number {
        case DMACall.bind:
            hypercallCounts[12] += 1
            let isBound = bus.bind(
                key: call.a1, array: call.a2, count: Int(call.a3 >> 8), irq: Int(call.a3 & 0xFF))
            return isBound ? 1 : 0
        case DMACall.send:
            hypercallCounts[13] += 1
            guard let isTaken = bus.send(key: call.a1, address: call.a2) else {
                throw kill("bad read address \(call.a2.hex): SEND_DMA with memory outside the guest's")
            }
            return isTaken ? 1 : 0
        default: return nil
        }
    }
}
