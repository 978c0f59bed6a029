// SPDX-License-Identifier: Apache-2.0
//
// Instructions that need ring 0, met in ring 1. The guest kernel has replaced most of them by calls;
// the rest are carried out here: port I/O and `cli` always (docs: lguest ABI 7.1), and, while the guest
// has no handler for #GP yet, whatever code before LGUEST_INIT may contain. The original could not
// do that, and died in the early microcode loader's `rdmsr`.

import X86

extension LguestInterface {
    /// Tries to carry out the instruction at EIP, which raised #GP(0) in ring 1. False: reflect the fault.
    func emulatePrivileged(_ cpu: CPU) throws(GuestDeath) -> Bool {
        guard let i = try? cpu.fetch() else { return false }
        let isEarly = data == nil || gate(Vector.generalProtection) == nil
        switch i.operation {
        case .in, .out: portAccess(i, cpu)
        case .cli: break
        case .hlt: try haltInstruction(cpu, isEarly: isEarly)
        case .sti, .clts, .wbinvd, .invd, .invlpg, .wrmsr, .movToControl, .movToDebug, .lgdt, .lidt, .lmsw:
            guard isEarly else { return false }
        case .rdmsr:
            guard isEarly else { return false }
            cpu[r32: GPR.eax] = 0
            cpu[r32: GPR.edx] = 0
        case .movFromControl:
            guard isEarly else { return false }
            cpu[r32: Int(i.destination.index)] = controlRegister(i.source.index, cpu)
        case .movFromDebug:
            guard isEarly else { return false }
            cpu[r32: Int(i.destination.index)] = 0
        default: return false
        }
        traceEmulated(i, cpu)
        tally.emulatedInstructions += 1
        // A port may have ended the guest or raised an interrupt.
        wantsMachine = true
        cpu.eip = cpu.eip &+ UInt32(i.length)
        return true
    }

    /// What a look at a control register shows: a plausible CR0 without EM and TS, and zeros.
    private func controlRegister(_ index: UInt8, _ cpu: CPU) -> UInt32 {
        switch index {
        case 0: 0x8005_0033
        case 3: cpu.system.cr3
        default: 0
        }
    }

    private func portAccess(_ i: Instruction, _ cpu: CPU) {
        let isIn = i.operation == .in
        let data = isIn ? i.destination : i.source
        let selector = isIn ? i.source : i.destination
        let port = selector.kind == .immediate ? UInt16(i.immediate & 0xFF) : cpu[r16: GPR.edx]
        let width = Int(data.size)
        let mask = width == 4 ? UInt32.max : 1 << UInt32(8 * width) - 1
        if isIn {
            let value = services.ports.read(port: port, width: width)
            cpu[r32: GPR.eax] = cpu[r32: GPR.eax] & ~mask | value & mask
        } else {
            services.ports.write(port: port, width: width, value: cpu[r32: GPR.eax] & mask)
        }
    }

    /// A native `hlt`: the end of the kernel's "System halted", or of a decompressor that gave up.
    private func haltInstruction(_ cpu: CPU, isEarly: Bool) throws(GuestDeath) {
        if isEarly {
            throw kill(
                "the guest halted (hlt) at \(cpu.eip.hex) before its kernel was up",
                suggestion:
                    "a decompressor that cannot unpack its kernel stops like this; is there enough memory?")
        }
        if data?.interruptsEnabled == true {
            isHalted = true
        } else {
            requestedEnd = .powerOff
        }
    }
}
