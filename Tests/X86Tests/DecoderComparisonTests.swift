// SPDX-License-Identifier: Apache-2.0

import CPUTestSupport
import Testing

@Suite("Our decoder against Zydis")
struct DecoderComparisonTests {
    @Test("Random bytes: the same instructions, lengths and operands, or the same refusal")
    func random() {
        let summary = DecoderCampaign.run(seed: 1, count: isLong ? 100_000_000 : 1_000_000)
        for difference in summary.differences {
            Issue.record("\(difference.bytes) (\(difference.code32 ? 32 : 16) bits): \(difference.what)")
        }
        // Most strings must be instructions, or the comparison says little.
        #expect(summary.instructions > summary.strings / 2)
    }
}
