// SPDX-License-Identifier: Apache-2.0
//
// Running a fragment of Probes.S that is expected to trap, and catching the trap. This is how the guest
// explores the processor it was given without dying of it.
import Machine

enum Probe {
    struct Outcome {
        /// What the fragment left in EAX, if it came to its end.
        var value: UInt32
        var trapped: Bool
        var trap: TrapRecord
    }

    /// Runs the fragment up to its first trap.
    static func run(_ fragment: probe, _ a1: UInt32 = 0, _ a2: UInt32 = 0) -> Outcome {
        run(.abandon, fragment, a1, a2)
    }

    /// Runs the fragment to its end; traps on the way are noted and returned from.
    static func runThrough(_ fragment: probe, _ a1: UInt32 = 0, _ a2: UInt32 = 0) -> Outcome {
        run(.resume, fragment, a1, a2)
    }

    private static func run(_ mode: Traps.Mode, _ fragment: probe, _ a1: UInt32, _ a2: UInt32) -> Outcome {
        Traps.last = TrapRecord()
        Traps.seen = 0
        Traps.mode = mode
        instruction_barrier()
        let value = run_probe(fragment.entry, a1, a2)
        instruction_barrier()
        Traps.mode = .fatal
        return Outcome(value: value, trapped: Traps.seen != 0, trap: Traps.last)
    }
}
