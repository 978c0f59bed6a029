// SPDX-License-Identifier: Apache-2.0
//
// Inputs for `HostileGuest` that reached new code when the fuzzer found them: the files of Fuzz/corpus.

import CPUTestSupport
import Foundation

enum Corpus {
    static func inputs() throws -> [[UInt8]] {
        let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../Fuzz/corpus")
        let files = try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
        return try files.map { [UInt8](try Data(contentsOf: $0)) }
    }
}
