// SPDX-License-Identifier: Apache-2.0
//
// From an address in the kernel to a file and a line of its source, by elfutils' libdw. The file is read whole
// when somebody asks for the first time (a crash report), so nothing has to be opened or mapped then.

import CDwarf
import Support

/// The line table of one kernel file.
public final class SourceLines {
    private let bytes: UnsafeMutableRawBufferPointer
    private let elf: OpaquePointer
    private let dwarf: OpaquePointer
    /// Bytes of the largest file that is read.
    private static let limit: UInt64 = 1 << 30

    /// Nil when the file has no debug information, or is not to be read.
    public init?(_ file: InputFile) {
        guard file.size > 0, file.size <= Self.limit, elf_version(UInt32(EV_CURRENT)) != 0 else { return nil }
        // SAFETY: the block is as large as said to `fill` and to libelf, and freed after both are done with it.
        let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: Int(file.size), alignment: 16)
        guard file.fill(bytes, from: 0) == nil,
            let elf = elf_memory(bytes.baseAddress?.assumingMemoryBound(to: CChar.self), bytes.count)
        else {
            bytes.deallocate()
            return nil
        }
        guard let dwarf = dwarf_begin_elf(elf, DWARF_C_READ, nil) else {
            elf_end(elf)
            bytes.deallocate()
            return nil
        }
        (self.bytes, self.elf, self.dwarf) = (bytes, elf, dwarf)
    }

    deinit {
        // SAFETY: opened in `init`, in this order; nobody else has them.
        dwarf_end(dwarf)
        elf_end(elf)
        bytes.deallocate()
    }

    /// `arch/x86/mm/fault.c:1201` for a linked address, or nil.
    public func line(of address: UInt32) -> String? {
        var die = Dwarf_Die()
        guard findUnit(UInt64(address), &die), let line = dwarf_getsrc_die(&die, UInt64(address)) else {
            return nil
        }
        var number: Int32 = 0
        // SAFETY: the name belongs to the open handle; it is copied at once.
        guard dwarf_lineno(line, &number) == 0, number > 0, let name = dwarf_linesrc(line, nil, nil) else {
            return nil
        }
        return "\(Self.short(String(cString: name))):\(number)"
    }

    /// The compilation unit with code at `address`.
    private func findUnit(_ address: UInt64, _ die: inout Dwarf_Die) -> Bool {
        if dwarf_addrdie(dwarf, address, &die) != nil { return true }
        // Compilers may leave the table of addresses out: ask each unit.
        var offset: Dwarf_Off = 0
        var next: Dwarf_Off = 0
        var headerSize = 0
        while dwarf_nextcu(dwarf, offset, &next, &headerSize, nil, nil, nil) == 0 {
            if dwarf_offdie(dwarf, offset + UInt64(headerSize), &die) != nil, dwarf_haspc(&die, address) > 0 {
                return true
            }
            offset = next
        }
        return false
    }

    /// A path without the folder that the kernel was built in.
    private static func short(_ path: String) -> String {
        let path = path.asOneLine
        let roots = [
            "/arch/", "/block/", "/crypto/", "/drivers/", "/fs/", "/include/", "/init/", "/ipc/",
            "/kernel/", "/lib/", "/mm/", "/net/", "/security/", "/Sources/",
        ]
        guard path.hasPrefix("/") else { return path }
        let starts = roots.compactMap { path.firstRange(of: $0)?.lowerBound }
        return starts.min().map { String(path[path.index(after: $0)...]) } ?? path
    }
}

extension String {
    /// Where `other` occurs first.
    fileprivate func firstRange(of other: String) -> Range<String.Index>? {
        var start = startIndex
        while start < endIndex {
            if self[start...].hasPrefix(other) { return start..<index(start, offsetBy: other.count) }
            start = index(after: start)
        }
        return nil
    }
}
