// SPDX-License-Identifier: Apache-2.0
//
// A guest's page tables at one moment: what a kernel had mapped where, with which rights. Neighbouring pages
// with equal rights are one range, so that a kernel's map of all memory is a line.

import GuestMemory

/// Pages that follow each other in both address spaces.
public struct MappedRange: Equatable, Sendable {
    /// First linear address.
    public var linear: UInt32
    /// 4 KiB pages.
    public var pages: UInt32
    /// Guest-physical address of the first.
    public var physical: UInt64
    public var isWritable: Bool
    public var isUser: Bool
    /// How many of the pages were used, and written, since the guest last cleared these bits.
    public var accessed: UInt32
    public var dirty: UInt32
}

public struct PageTableSnapshot: Equatable, Sendable {
    public var ranges: [MappedRange] = []
    /// Pages that hold tables, the top included.
    public var tables: Int = 1
    /// Whether there were more ranges than are kept.
    public var isCut = false

    /// Ranges that are kept at most: a guest may map whatever it likes.
    static let limit = 4000

    /// Walks the tables at `root`. Entries that point outside `memory` are left out.
    public init(_ memory: GuestMemory, root: UInt32, pae: Bool, largePages: Bool) {
        if pae {
            for index in 0..<UInt32(4) {
                let entry = read64(memory, UInt64(root & ~31) + UInt64(index) * 8)
                if entry & 1 != 0 { walkMiddle(memory, entry & Self.frame, index << 30) }
            }
        } else {
            for index in 0..<UInt32(1024) {
                let entry = UInt64(read32(memory, UInt64(root & ~0xFFF) + UInt64(index) * 4))
                guard entry & 1 != 0 else { continue }
                if entry & 0x80 != 0 && largePages {
                    add(index << 22, 1024, entry & 0xFFC0_0000, entry, entry)
                } else {
                    tables += 1
                    for leaf in 0..<UInt32(1024) {
                        let page = UInt64(read32(memory, entry & 0xFFFF_F000 + UInt64(leaf) * 4))
                        if page & 1 != 0 {
                            add(index << 22 | leaf << 12, 1, page & 0xFFFF_F000, entry & page, page)
                        }
                    }
                }
            }
        }
    }

    private static let frame: UInt64 = 0xF_FFFF_F000

    private mutating func walkMiddle(_ memory: GuestMemory, _ table: UInt64, _ base: UInt32) {
        tables += 1
        for index in 0..<UInt32(512) {
            let entry = read64(memory, table + UInt64(index) * 8)
            guard entry & 1 != 0 else { continue }
            let linear = base | index << 21
            if entry & 0x80 != 0 {
                add(linear, 512, entry & Self.frame & ~0x1F_FFFF, entry, entry)
                continue
            }
            tables += 1
            for leaf in 0..<UInt32(512) {
                let page = read64(memory, entry & Self.frame + UInt64(leaf) * 8)
                if page & 1 != 0 { add(linear | leaf << 12, 1, page & Self.frame, entry & page, page) }
            }
        }
    }

    private func read32(_ memory: GuestMemory, _ address: UInt64) -> UInt32 {
        (try? memory.read(address)) ?? 0
    }

    private func read64(_ memory: GuestMemory, _ address: UInt64) -> UInt64 {
        (try? memory.read(address)) ?? 0
    }

    private mutating func add(
        _ linear: UInt32, _ pages: UInt32, _ physical: UInt64, _ rights: UInt64, _ leaf: UInt64
    ) {
        let (writable, user) = (rights & 2 != 0, rights & 4 != 0)
        let accessed = leaf & 0x20 != 0 ? pages : 0
        let dirty = leaf & 0x40 != 0 ? pages : 0
        if var last = ranges.last, last.isWritable == writable, last.isUser == user,
            last.linear &+ last.pages << 12 == linear, last.physical + UInt64(last.pages) << 12 == physical
        {
            last.pages += pages
            last.accessed += accessed
            last.dirty += dirty
            ranges[ranges.count - 1] = last
        } else if ranges.count < Self.limit {
            ranges.append(
                MappedRange(
                    linear: linear, pages: pages, physical: physical, isWritable: writable, isUser: user,
                    accessed: accessed, dirty: dirty))
        } else {
            isCut = true
        }
    }

    /// As a record of a trace. A range is `[linear, pages, physical, rights, accessed, dirty]`, where rights are
    /// 1 for writable plus 2 for user.
    public func json(time: UInt64, label: String, root: UInt32, pae: Bool, task: String) -> JSON {
        .object([
            ("time", .integer(time)), ("label", .string(label)), ("root", .integer(root)),
            ("pae", .bool(pae)),
            ("task", .string(task)), ("tables", .integer(tables)), ("cut", .bool(isCut)),
            (
                "ranges",
                .list(
                    ranges.map {
                        .list([
                            .integer($0.linear), .integer($0.pages), .integer($0.physical),
                            .integer(($0.isWritable ? 1 : 0) + ($0.isUser ? 2 : 0)), .integer($0.accessed),
                            .integer($0.dirty),
                        ])
                    })
            ),
        ])
    }
}
