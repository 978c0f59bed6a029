// SPDX-License-Identifier: Apache-2.0
//
// Everything behind a hypercall is the guest's: numbers, arguments, the ring, the shared page, the page
// tables. Whatever it writes there, the host goes on or ends the guest, and nothing else.

import GuestMemory
import Testing
import X86

@testable import GuestInterfaces

/// SplitMix64: the same numbers for the same seed.
private struct Random: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
        return z ^ z >> 31
    }

    /// A number of the kind that breaks things.
    mutating func hostile() -> UInt32 {
        let special: [UInt32] = [
            0, 1, 2, 3, 4, 31, 32, 64, 255, 256, 0x61, 0x69, 0xFFF, 0x1000, MicroGuest.dataAddress,
            0x7FFF_FFFF, 0x8000_0000, 0xBFFF_FFFF, 0xC000_0000, 0xFFC0_0000, 0xFFFF_F000, 0xFFFF_FFFF,
            0x00FF_FFFF, 0x0100_0000, 0x00FF_F000,
        ]
        switch next() % 4 {
        case 0: return UInt32(truncatingIfNeeded: next())
        case 1: return UInt32(truncatingIfNeeded: next() % (17 << 20))
        default: return special.randomElement(using: &self) ?? 0
        }
    }
}

@Suite("Hostile guests")
struct HypercallFuzzTests {
    @Test("random hypercalls, rings, shared pages and page tables", arguments: 0..<8 as Range<UInt64>)
    func hypercalls(seed: UInt64) throws {
        var random = Random(state: seed)
        var deaths = 0
        for _ in 0..<150 {
            let generations = [Generation.g2, .g4, .g6, .g8]
            let generation = generations.randomElement(using: &random) ?? .g8
            let start =
                generation.entry == 16
                ? Code.eax(1) + Code.edx(MicroGuest.dataAddress) + Code.int1F : Code.initialise
            let call = Code.int1F + [0xEB, 0xFC]  // int $0x1f in a loop; registers are set from outside
            let guest = try MicroGuest(start + Code.stop + call, layout: generation)
            #expect(guest.death() == nil)
            let loop = MicroGuest.entry + UInt32(start.count + Code.stop.count)
            for _ in 0..<40 {
                // Scribble over the shared page and over whatever serves as page tables.
                for _ in 0..<4 {
                    let at = UInt64(MicroGuest.dataAddress) + random.next() % 0x580
                    try guest.memory.write(UInt8(truncatingIfNeeded: random.next()), at: at)
                    let table = UInt64(random.hostile()) % (16 << 20) & ~3
                    try guest.memory.write(random.hostile() | UInt32(random.next() % 2), at: table)
                }
                guest.cpu[r32: GPR.eax] =
                    random.next() % 8 == 0 ? random.hostile() : UInt32(random.next() % 21)
                for register in [GPR.ebx, GPR.ecx, GPR.edx, GPR.esi] {
                    guest.cpu[r32: register] = random.hostile()
                }
                guest.cpu.eip = loop
                guest.clock.advance(nanoseconds: 1_000_000)
                do throws(GuestDeath) {
                    if try guest.interface.deliverInterrupts(
                        guest.cpu, now: guest.clock.monotonicNanoseconds())
                    {
                        for _ in 0..<3 {
                            _ = try guest.interface.handle(guest.engine.run(guest.cpu, budget: 50), guest.cpu)
                        }
                    }
                } catch {
                    deaths += 1
                    #expect(!error.reason.isEmpty)
                    break
                }
            }
        }
        #expect(deaths > 50, "most of such guests must be stopped")
    }
}
