// SPDX-License-Identifier: Apache-2.0
//
// Names for places in the guest: from a file when there is one, else from the table that a Linux kernel keeps
// in its own memory.

import Boot
import Debug
import GuestMemory
import Support
import Trace
import X86

/// The guest kernel's symbols, wherever they can be had.
public final class GuestSymbols {
    private var table: SymbolTable?
    private let cpu: CPU
    private let memory: GuestMemory
    private let clock: any HostClock
    /// Searches that are left, and when the next one may be.
    private var searches = 4
    private var nextSearch: UInt64 = 0
    private var knownText: KernelText?
    /// Called when symbols have turned up.
    var onFound: () -> Void = {}

    /// Memory beyond this is not searched (bytes): kernels lie low.
    private static let searched: UInt64 = 96 << 20

    init(_ table: SymbolTable?, _ cpu: CPU, clock: any HostClock) {
        self.table = table
        self.cpu = cpu
        self.clock = clock
        memory = cpu.memory
    }

    /// All of them, or nil where there are none yet.
    var current: SymbolTable? {
        if table == nil { search() }
        return table
    }

    /// The place that `address` is in, or nil.
    public func lookup(_ address: UInt32) -> SymbolicAddress? {
        if table == nil { search() }
        return table?.lookup(address)
    }

    /// The beginning of the function that `address` is in, or nil where that is not known.
    func function(at address: UInt32) -> UInt32? { table?.start(at: address) }

    /// The address of the symbol called `name`, or nil.
    public func address(of name: String) -> UInt32? {
        if table == nil { search() }
        return table?.lookup(name: name)?.address
    }

    /// Where the kernel's code is; where the symbols do not say, where it may be.
    var text: KernelText {
        if let knownText { return knownText }
        guard let table, let all = table.addresses else { return KernelText(0xC000_0000..<0xFFFF_F000) }
        let said = KernelText(table)
        let text = said.isKnown ? said : KernelText(all.lowerBound..<all.upperBound)
        knownText = text
        return text
    }

    /// A kernel that unpacks itself has no table before it is done, so a search is repeated a few times.
    private func search() {
        guard searches > 0, cpu.system.cr0 & ControlBits.pg != 0 else { return }
        let now = clock.monotonicNanoseconds()
        guard now >= nextSearch else { return }
        searches -= 1
        nextSearch = now &+ 1_000_000_000
        // No kernel lies below the hole of a PC.
        let (start, end) = (memory.hole.upperBound, min(memory.ramSize, Self.searched))
        let bytes = start < end ? (try? memory.readBytes(start, count: Int(end - start))) ?? [] : []
        guard let found = Kallsyms(in: bytes) else { return }
        table = SymbolTable(found.symbols + variables(found.symbols, bytes, start))
        searches = 0
        onFound()
    }

    /// Many kernels' own tables name only code. What is offered to modules names their most wanted variables.
    private func variables(_ known: [Symbol], _ bytes: [UInt8], _ start: UInt64) -> [Symbol] {
        guard !known.contains(where: { $0.name == "init_task" }) else { return [] }
        // The image is mapped in one piece: one place says where all of it is.
        for symbol in known.prefix(64) {
            guard let physical = cpu.peekTranslate(symbol.address), physical >= start else { continue }
            let linear = symbol.address &- UInt32(truncatingIfNeeded: physical - start)
            return KernelExports(in: bytes, linear: linear)?.missing(in: known) ?? []
        }
        return []
    }
}
