// SPDX-License-Identifier: Apache-2.0
//
// Inputs for `HostileGuest` that reached new code when they were found, or that once went wrong.

import CPUTestSupport

enum Corpus {
    static let inputs: [[UInt8]] = {
        // Seeds of generated inputs: a seed is shorter than what comes of it.
        let seeds: [UInt64] = [1, 2, 3, 5, 8, 13, 21, 34, 55, 89]
        return seeds.map { seed in
            var random = Random(seed: seed)
            return HostileGuest.makeInput(&random)
        }
    }()
}
