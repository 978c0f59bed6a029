// SPDX-License-Identifier: Apache-2.0

import CPUTestSupport
import Testing

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

@Suite("Hostile guests")
struct HostileGuestTests {
    @Test("Arbitrary code, tables and control registers: no crash, no hang", arguments: [false, true])
    func arbitrary(translates: Bool) throws {
        let guest = try HostileGuest(translates: translates)
        var random = Random(seed: 0xF022)
        var input: [UInt8] = []
        var instructions: UInt64 = 0
        for round in 0..<(getenv("LGUEST_LONG_TESTS") != nil ? 1_000_000 : 4000) {
            // Every eighth is new, the others come from it by small changes.
            input = round & 7 == 0 ? HostileGuest.makeInput(&random) : HostileGuest.mutate(input, &random)
            let outcome = try guest.run(input)
            #expect(outcome.instructions <= HostileGuest.budget * 4)
            instructions += outcome.instructions
        }
        // Enough of them must do something.
        #expect(instructions > 4000 * 10)
        print("hostile guests: \(instructions) instructions")
    }

    @Test("Inputs that were once of interest", arguments: [false, true])
    func corpus(translates: Bool) throws {
        let guest = try HostileGuest(translates: translates)
        let inputs = try Corpus.inputs()
        #expect(!inputs.isEmpty)
        for input in inputs { try guest.run(input) }
    }
}
