// SPDX-License-Identifier: Apache-2.0
//
// Which engine a machine gets.

import Engine
import GuestMemory
import Support
import X86

/// The ways to carry out guest code.
public enum EngineChoice: String, CaseIterable, Sendable {
    /// Machine code made from the guest's, the default: of branches it notes only entries into the kernel and returns.
    case translator
    /// One instruction after the other: exact and traceable, the reference.
    case interpreter
    /// Both, block by block, up to the first difference.
    case lockstep
}

extension Machine {
    static func makeEngine(
        _ choice: EngineChoice, _ memory: GuestMemory, _ storage: CPUStorage
    ) throws(LguestError) -> any Engine {
        switch choice {
        case .interpreter: return Interpreter(memory: memory)
        case .translator, .lockstep:
            do throws(HostDenial) {
                if choice == .lockstep {
                    return try Lockstep(memory: memory, storage: storage, onDifference: endInLockstep)
                }
                return try Translator(memory: memory, storage: storage)
            } catch {
                throw LguestError(
                    .host, "the host gives no memory for translated code (errno \(error.errno))")
            }
        }
    }
}
