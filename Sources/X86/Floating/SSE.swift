// SPDX-License-Identifier: Apache-2.0
//
// SSE instructions on whole vectors, `destination = destination op source`, one host instruction
// each, and the exceptions that MXCSR governs.

import CHost

extension Instruction {
    /// The number of the host's stub for this opcode and prefix (see floating_sse.c).
    @inline(__always)
    var sseStub: UInt32 {
        map == 1 ? UInt32(mandatoryPrefix) << 8 | UInt32(opcode) : 0x400 | UInt32(opcode & 31)
    }
}

extension CPU {
    func executeSSE(_ i: Instruction) throws(Fault) {
        try requireSSE()
        let source = try vectorSource(i)
        let index = Int(i.destination.index)
        self[xmm: index] = lguest_sse(self[xmm: index], source, i.sseStub)
    }

    func executeSSENumeric(_ i: Instruction) throws(Fault) {
        try requireSSE()
        let source = try vectorSource(i)
        let index = Int(i.destination.index)
        let destination = self[xmm: index]
        let prefix = UInt32(i.mandatoryPrefix)
        switch i.opcode {
        case 0xC2:
            self[xmm: index] = try numeric { mxcsr in
                lguest_sse_compare(destination, source, prefix, i.immediate, &mxcsr)
            }
        case 0x58, 0x59, 0x5A, 0x5C, 0x5E, 0x7C, 0x7D, 0xD0:
            let opcode = UInt32(i.opcode)
            let control = mxcsr
            self[xmm: index] = try numeric(
                { mxcsr in lguest_sse_numeric(destination, source, i.sseStub, &mxcsr) },
                isInexact: { lguest_sse_inexact(destination, source, prefix, opcode, control) != 0 })
        default:
            self[xmm: index] = try numeric { mxcsr in
                lguest_sse_numeric(destination, source, i.sseStub, &mxcsr)
            }
        }
    }

    /// COMISS, COMISD, UCOMISS, UCOMISD.
    func executeSSECompare(_ i: Instruction) throws(Fault) {
        try requireSSE()
        let source = try vectorSource(i)
        let destination = self[xmm: Int(i.destination.index)]
        let prefix = UInt32(i.mandatoryPrefix)
        let opcode = UInt32(i.opcode)
        let flags = try numeric { mxcsr in
            lguest_sse_compare_flags(destination, source, prefix, opcode, &mxcsr)
        }
        setArithmeticFlags(flags)
    }

    /// CVT(T)SS2SI, CVT(T)SD2SI.
    func executeSSEToGeneral(_ i: Instruction) throws(Fault) {
        try requireSSE()
        let source = try vectorSource(i)
        let stub = i.sseStub
        let value = try numeric { mxcsr in lguest_sse_to_general(source, stub, &mxcsr) }
        self[r32: Int(i.destination.index)] = value
    }

    /// CVTSI2SS, CVTSI2SD.
    func executeSSEFromGeneral(_ i: Instruction) throws(Fault) {
        try requireSSE()
        let source = try generalSource(i, i.source)
        let index = Int(i.destination.index)
        let destination = self[xmm: index]
        let stub = i.sseStub
        self[xmm: index] = try numeric { mxcsr in
            lguest_sse_from_general(destination, source, stub, &mxcsr)
        }
    }

    /// MOVMSKPS, MOVMSKPD, PMOVMSKB, PEXTRW.
    func executeSSEMoveMask(_ i: Instruction) throws(Fault) {
        try requireSSE()
        let source = self[xmm: Int(i.source.index)]
        let result: UInt32
        if i.opcode == 0xC5 {
            result = CPU.extractWord(source, i.immediate & 7)
        } else {
            var unused: UInt32 = 0x1F80
            result = lguest_sse_to_general(source, i.sseStub, &unused)
        }
        self[r32: Int(i.destination.index)] = result
    }
}
