// SPDX-License-Identifier: Apache-2.0
//
// The machine's own processor, as `oracle.h` offers it: cases in, outcomes out.

import CHostOracle

public struct HostUnavailable: Error, CustomStringConvertible {
    public let description: String
}

/// Runs batches of cases natively. Not thread-safe.
public final class HostProcessor {
    public static let batch = Int(ORACLE_BATCH)
    private let oracle: OpaquePointer
    /// Whether segments other than the flat ones can be had.
    public let hasLocalSegments: Bool

    public init(pristine: [UInt8]) throws(HostUnavailable) {
        var why: UnsafePointer<CChar>?
        precondition(pristine.count == Int(ORACLE_WINDOW_SIZE) + 4096)
        // SAFETY: the function reads as many bytes as were just counted; `why` points to a constant.
        guard let oracle = oracle_start(pristine, &why) else {
            throw HostUnavailable(description: why.map { String(cString: $0) } ?? "unknown")
        }
        self.oracle = oracle
        hasLocalSegments = oracle_has_ldt(oracle) != 0
    }

    deinit { oracle_stop(oracle) }

    /// Limit of the segment 0x78 on the host.
    public var processorLimit: UInt32 { oracle_processor_limit(oracle) }

    /// Outcomes of up to `batch` cases; fewer when the server died of the next one.
    public func run(_ cases: [TestCase]) -> [Outcome] {
        precondition(cases.count <= HostProcessor.batch)
        // SAFETY: the shared arrays have `batch` elements and live as long as `oracle`.
        let slots = UnsafeMutableBufferPointer(start: oracle_cases(oracle), count: HostProcessor.batch)
        let results = UnsafeMutableBufferPointer(start: oracle_results(oracle), count: HostProcessor.batch)
        for (n, test) in cases.enumerated() { HostProcessor.fill(&slots[n], test) }
        let done = Int(oracle_run(oracle, Int32(cases.count)))
        return (0..<done).map { n in
            var outcome = results[n].outcome
            if cases[n].fpu != nil {
                outcome.fpu = withUnsafeBytes(of: &results[n].fpu) { Array($0) }
            }
            return outcome
        }
    }

    /// The window as the last case left it.
    public var window: [UInt8] {
        // SAFETY: the array has this size and lives as long as `oracle`.
        Array(UnsafeBufferPointer(start: oracle_window(oracle), count: Int(ORACLE_WINDOW_SIZE)))
    }

    public static func hash(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
        // SAFETY: reads exactly the buffer.
        guard let base = bytes.baseAddress else { return 0 }
        return oracle_hash(base.assumingMemoryBound(to: UInt8.self), UInt(bytes.count))
    }

    private static func fill(_ slot: inout oracle_case, _ test: TestCase) {
        let code = test.code
        precondition(code.count <= Int(ORACLE_CODE_BYTES))
        precondition(test.patches.count <= Int(ORACLE_PATCHES))
        precondition(test.forgotten.count <= Int(ORACLE_FORGOTTEN))
        // SAFETY: copies into fixed arrays of the structure, within the sizes just checked.
        withUnsafeMutableBytes(of: &slot.gpr) { bytes in
            test.gpr.withUnsafeBytes { bytes.copyMemory(from: $0) }
        }
        withUnsafeMutableBytes(of: &slot.code) { bytes in
            code.withUnsafeBytes { bytes.copyMemory(from: $0) }
        }
        withUnsafeMutableBytes(of: &slot.patches) { bytes in
            for (n, patch) in test.patches.enumerated() {
                bytes.storeBytes(of: patch.address, toByteOffset: n * 8, as: UInt32.self)
                bytes.storeBytes(of: patch.value, toByteOffset: n * 8 + 4, as: UInt32.self)
            }
        }
        withUnsafeMutableBytes(of: &slot.forgotten) { bytes in
            for n in 0..<Int(ORACLE_FORGOTTEN) {
                let range =
                    n < test.forgotten.count ? test.forgotten[n] : TestCase.Range(address: 0, count: 0)
                bytes.storeBytes(of: range.address, toByteOffset: n * 8, as: UInt32.self)
                bytes.storeBytes(of: range.count, toByteOffset: n * 8 + 4, as: UInt32.self)
            }
        }
        slot.eflags = test.eflags
        slot.eip = test.eip
        slot.es = test.selectors.es
        slot.cs = test.selectors.cs
        slot.ss = test.selectors.ss
        slot.ds = test.selectors.ds
        slot.fs = test.selectors.fs
        slot.gs = test.selectors.gs
        slot.code_length = UInt8(code.count)
        slot.patch_count = UInt8(test.patches.count)
        slot.uses_fpu = test.fpu == nil ? 0 : 1
        if let fpu = test.fpu {
            withUnsafeMutableBytes(of: &slot.fpu) { bytes in
                fpu.withUnsafeBytes { bytes.copyMemory(from: $0) }
            }
        }
    }
}
