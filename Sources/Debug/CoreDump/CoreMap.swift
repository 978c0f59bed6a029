// SPDX-License-Identifier: Apache-2.0
//
// Which linear addresses of a core file show which guest-physical memory. All RAM is in the file once, with its
// physical addresses; what the page tables map elsewhere (modules, the task that runs) points into the same bytes.

import Support
import X86

/// One piece: `length` bytes at `linear` that are the RAM from `physical` on.
struct CoreSegment: Equatable {
    var linear: UInt32
    var physical: UInt64
    var length: UInt64
}

enum CoreMap {
    /// A header counts its segments in 16 bits.
    private static let maximumSegments = 60_000
    private static let usualPageOffset: UInt32 = 0xC000_0000

    /// RAM first (the kernel's linear map, then what it does not reach), then the other mappings.
    static func segments(_ view: GuestView, ramBytes: UInt64) -> [CoreSegment] {
        let cpu = view.cpu
        guard cpu.system.cr0 & ControlBits.pg != 0 else {
            return [CoreSegment(linear: 0, physical: 0, length: ramBytes)]
        }
        let offset = view.symbols?.linkOffset ?? usualPageOffset
        let mapped = linearMapLength(view, offset, ramBytes)
        var list: [CoreSegment] = []
        if mapped > 0 { list.append(CoreSegment(linear: offset, physical: 0, length: mapped)) }
        if mapped < ramBytes {
            // As the kernel's own dumps show memory that its linear map does not reach.
            list.append(CoreSegment(linear: UInt32.max, physical: mapped, length: ramBytes - mapped))
        }
        appendOthers(
            &list, cpu, skip: offset..<(offset &+ UInt32(min(mapped, UInt64(UInt32.max - offset)))), ramBytes)
        return list
    }

    private static func linearMapLength(_ view: GuestView, _ offset: UInt32, _ ramBytes: UInt64) -> UInt64 {
        var length: UInt64 = 0
        while length < ramBytes, UInt64(offset) + length < 1 << 32,
            view.cpu.peekTranslate(offset + UInt32(length)) == length
        {
            length += 4096
        }
        return length
    }

    private static func appendOthers(
        _ list: inout [CoreSegment], _ cpu: CPU, skip: Range<UInt32>, _ ramBytes: UInt64
    ) {
        let fixed = list.count
        for page in UInt32(0)..<(1 << 20) {
            let linear = page << 12
            guard !skip.contains(linear), let physical = cpu.peekTranslate(linear),
                physical + 4096 <= ramBytes
            else { continue }
            if list.count > fixed, let last = list.last, UInt64(last.linear) + last.length == UInt64(linear),
                last.physical + last.length == physical
            {
                list[list.count - 1].length += 4096
            } else if list.count < maximumSegments {
                list.append(CoreSegment(linear: linear, physical: physical, length: 4096))
            }
        }
    }
}
