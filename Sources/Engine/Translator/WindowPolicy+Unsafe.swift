// SPDX-License-Identifier: Apache-2.0
//
// Which address spaces get a window. A window makes user code run as fast as on the host, but each page that comes
// or goes costs a call to the host, and each surprise a signal. So a process earns its window by the time
// that its user code takes, pays for what the window costs, and loses it when it cannot pay.

import CHost
import GuestMemory
import X86

/// Whether user code gets a window.
public enum WindowUse: Sendable {
    /// Once it has run for long enough to pay for one.
    case whenEarned
    /// At once and for ever: for tests.
    case atOnce
    /// Not at all.
    case never
}

final class WindowPolicy: TranslationObserver {
    /// What a window costs, in calls to the host.
    static let usualPrice = 100
    static let wealthLimit = 600
    /// User code that earns one call to the host, in instructions.
    static let instructionsPerCall: UInt64 = 20_000
    static let windowLimit = 12

    private let memory: GuestMemory
    /// 0: whoever runs user code gets a window at once, and keeps it.
    private let price: Int
    /// Windows that were closed; generated code may still be in them. All their pages are out.
    private var closed: [Window] = []
    private let tables: TranslationTables
    private var spaces: [AddressSpaceTables] = []
    var isAvailable: Bool
    /// The kernel's.
    let direct: DirectWindow
    /// For `--stats`.
    private(set) var created: UInt64 = 0
    private(set) var dropped: UInt64 = 0
    private(set) var pagesMapped: UInt64 = 0
    private(set) var pagesUnmapped: UInt64 = 0
    private var mappedTotal = 0
    /// Instructions that have not made a whole call yet.
    private var rest: UInt64 = 0

    init(memory: GuestMemory, tables: TranslationTables, use: WindowUse) {
        self.memory = memory
        self.tables = tables
        price = use == .atOnce ? 0 : WindowPolicy.usualPrice
        isAvailable = use != .never && memory.file >= 0 && lguest_windows_prepare() != 0
        direct = DirectWindow(memory: memory, tables: tables)
        if isAvailable { tables.observer = self }
    }

    private func window(_ space: AddressSpaceTables) -> Window? {
        guard space.window != 0, let attached = space.attachment else { return nil }
        return unsafeDowncast(attached, to: Window.self)
    }

    /// User code of the current address space has run for some instructions.
    func noteUserCode(_ instructions: UInt64) {
        guard isAvailable else { return }
        let space = tables.current
        rest += instructions
        let earned = rest / WindowPolicy.instructionsPerCall
        rest -= earned * WindowPolicy.instructionsPerCall
        space.heat = min(space.heat + Int(earned), WindowPolicy.wealthLimit)
        if space.window == 0 && space.heat >= price { open(space) }
    }

    private func open(_ space: AddressSpaceTables) {
        if spaces.count >= WindowPolicy.windowLimit, let poorest = spaces.min(by: { $0.heat < $1.heat }) {
            close(poorest)
        }
        guard mappedTotal + space.touchedPages.count < Window.pageBudget, lguest_windows_prepare() != 0,
            let window = Window(memory: memory.base, file: memory.file)
        else {
            space.heat = 0
            return
        }
        created += 1
        space.attachment = window
        space.window = UInt(bitPattern: window.base)
        spaces.append(space)
        // What user code has touched lately it will touch again.
        for page in space.touchedPages.sorted() where !window.isMapped(page) { fill(page, window, space) }
    }

    private func fill(_ page: UInt32, _ window: Window, _ space: AddressSpaceTables) {
        let before = window.mappedCount
        _ = window.map(page, tables: space, limit: 64)
        pagesMapped += UInt64(window.mappedCount - before)
        mappedTotal += window.mappedCount - before
    }

    /// User code of the current address space has come to a page that its window does not have, or not with the
    /// right to write, and which is in the flat tables now.
    func miss(_ page: UInt32) {
        let space = tables.current
        guard let window = window(space) else { return }
        guard mappedTotal < Window.pageBudget else {
            close(space)
            return
        }
        fill(page, window, space)
        pay(2, space)
    }

    private func pay(_ calls: Int, _ space: AddressSpaceTables) {
        space.heat -= calls
        if space.heat < 0 && price > 0 { close(space) }
    }

    /// The next window will be dearer.
    private func close(_ space: AddressSpaceTables) {
        guard let window = window(space) else { return }
        dropped += 1
        mappedTotal -= window.mappedCount
        _ = window.unmap(0, count: UInt32(Window.pages))
        closed.append(window)
        space.window = 0
        space.attachment = nil
        space.heat = -(2 * price << min(space.windowDrops, 6))
        space.windowDrops += 1
        spaces.removeAll { $0 === space }
    }

    /// Nobody is in generated code.
    func settle(_ cpu: CPU) {
        if !closed.isEmpty { closed.removeAll() }
        if isAvailable { direct.follow(cpu) }
    }

    /// Nothing tells this policy of changes any more.
    func detach() {
        if isAvailable { tables.observer = nil }
        direct.release()
        for space in spaces { close(space) }
    }

    // TranslationObserver

    func forgotten(page: UInt32, count: UInt32, of space: AddressSpaceTables) {
        guard let window = window(space) else { return }
        let removed = window.unmap(page, count: count)
        guard removed > 0 else { return }
        mappedTotal -= removed
        pagesUnmapped += UInt64(removed)
        pay(removed == 1 ? 1 : 2 + removed / 4, space)
    }

    func forgottenShared(first: UInt32, count: UInt64) { direct.unmap(first, count: count) }

    func forgottenShared() {
        direct.unmapAll()
        for space in spaces {
            guard let window = window(space) else { continue }
            let removed = window.unmap(0, count: UInt32(Window.pages))
            mappedTotal -= removed
            pagesUnmapped += UInt64(removed)
        }
    }

    func writesRevoked(host: UInt) {
        direct.revokeWrites(host: host)
        for space in spaces { window(space)?.revokeWrites(host: host, tables: space) }
    }

    func replaced(_ space: AddressSpaceTables) {
        close(space)
        space.heat = 0
        space.windowDrops = 0
    }
}
