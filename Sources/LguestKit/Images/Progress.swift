// SPDX-License-Identifier: Apache-2.0
//
// Says on standard error what is being done, and how far it has come: a bar on a terminal, one line for each step
// elsewhere.

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

public final class Progress {
    private static let width = 24
    private let write: (String) -> Void
    private let isTerminal: Bool
    private var step = ""
    private var shown = -1
    private var hasOpenLine = false

    /// On standard error.
    public convenience init() { self.init(isTerminal: isatty(2) != 0) { Report.text($0) } }

    init(isTerminal: Bool, write: @escaping (String) -> Void) {
        self.isTerminal = isTerminal
        self.write = write
    }

    /// Something new begins.
    public func begin(_ step: String) {
        end()
        self.step = step
        write(isTerminal ? "lguest: \(step)" : "lguest: \(step)\n")
        hasOpenLine = isTerminal
    }

    /// `fraction` of the step is done.
    public func update(_ fraction: Double) {
        guard isTerminal, fraction.isFinite else { return }
        let percent = Int(max(0, min(1, fraction)) * 100)
        guard percent != shown else { return }
        shown = percent
        let full = percent * Self.width / 100
        let bar = String(repeating: "#", count: full) + String(repeating: ".", count: Self.width - full)
        // To the line's beginning, and clear it.
        write("\r\u{1B}[Klguest: \(step) [\(bar)] \(percent)%")
    }

    /// The step is done, or has failed.
    public func end() {
        if hasOpenLine { write("\n") }
        hasOpenLine = false
        shown = -1
    }

    deinit { end() }
}
