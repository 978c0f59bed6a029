// SPDX-License-Identifier: Apache-2.0
//
// Where in guest memory the initrd goes. The original launcher puts it at the very top (docs: lguest
// ABI 1.1). That fails once the guest is big: kernels up to about 2.6.29 refuse an initrd beyond the
// memory that they map directly ("low memory"), and later ones must copy it down first. How much
// low memory there is depends on the kernel's VMSPLIT, which a file does not tell. The smallest is that
// of the usual 3G/1G split: 896 MiB, less what `vmalloc=` and the reserved top take. The boot
// protocol's own default for old kernels, 512 MiB, is right for each of the splits. So: the top
// of memory, but not above 512 MiB; an initrd that does not fit there may reach up to 768 MiB.

import Support

enum InitrdPlacement {
    /// The highest ends that are tried, in this order (GPA, bytes).
    static let ceilings: [UInt64] = [512 << 20, 768 << 20]

    /// Chooses whole pages for an initrd of `size` bytes.
    ///
    /// - Parameters:
    ///   - kernelEnd: first GPA that the kernel does not occupy.
    ///   - memory: bytes of RAM.
    ///   - addressLimit: highest GPA that the kernel's header allows, if it has one.
    /// - Throws: `.badInput` when it does not fit; the message names both sizes.
    static func range(
        size: UInt64, kernelEnd: UInt64, memory: UInt64, addressLimit: UInt32?, name: String
    ) throws(LguestError) -> Range<UInt32> {
        guard size > 0 else { throw LguestError(.badInput, "\(name): the initrd is empty") }
        let lowest = kernelEnd + slack(memory: memory)
        let limit = addressLimit.map { UInt64($0) + 1 } ?? .max
        for ceiling in ceilings {
            let end = min(memory, limit, ceiling) & ~0xFFF
            guard let length = size.roundedUp(to: 4096), length <= end, end - length >= lowest else {
                continue
            }
            return UInt32(end - length)..<UInt32(end)
        }
        throw LguestError(
            .badInput,
            "\(name): the initrd does not fit: it has \(size.asByteCount), the kernel ends at "
                + "\(kernelEnd.asByteCount), and the guest's memory is \(memory.asByteCount)",
            hint: advice(size: size, lowest: lowest, limit: limit))
    }

    /// Room that is kept above the kernel for the page tables with which it (or, for Linux up to 3.0,
    /// the host) maps all memory: 8 bytes for each page at most, and 1 MiB for what else it allocates first.
    private static func slack(memory: UInt64) -> UInt64 { (1 << 20) + memory / 512 }

    private static func advice(size: UInt64, lowest: UInt64, limit: UInt64) -> String {
        let (needed, overflow) = size.addingReportingOverflow(lowest + (1 << 20))
        guard !overflow, needed <= min(limit, ceilings.last ?? 0), let rounded = needed.roundedUp(to: 1 << 20)
        else {
            return "it must lie below \(min(limit, ceilings.last ?? 0).asByteCount), so it cannot be that big"
        }
        return "give the guest at least \(rounded >> 20)m"
    }
}
