// SPDX-License-Identifier: Apache-2.0
//
// A trace for people: one line for each event, aligned, with colours on a terminal.
//
//     +0.132841s  kernel  do_page_fault+0x3c            SET_PTE  pgdir 0x1a3d000  va 0xbf8e1000  pte …

import Support
import Tap

public final class LineOutput: TraceOutput {
    private let file: OutputFile
    private let isColoured: Bool
    /// Behind each line: a terminal in raw mode wants a carriage return as well.
    private let lineEnd: StaticString
    private var out = TextBuffer(capacity: 1 << 16)
    private var guest: (tap: TraceTap, names: GuestNames)?
    private var showsTasks = false
    /// When the events end that are still going on, outermost first.
    private var open: [UInt64] = []

    public init(_ file: OutputFile, colour: Bool, rawTerminal: Bool = false) {
        self.file = file
        isColoured = colour
        lineEnd = rawTerminal ? "\r\n" : "\n"
    }

    public func begin(_ header: TraceHeader, _ tap: TraceTap, _ names: GuestNames) {
        let isFirst = guest == nil
        guest = (tap, names)
        guard isFirst else { return }
        dim {
            $0.put("# time, mode, place in the guest, event; `lguest explain EVENT` says what an event is")
        }
        out.put(lineEnd)
    }

    public func event(_ event: TraceEvent) {
        guard let guest, Int(event.kind) < guest.tap.kinds.count else { return }
        let kind = guest.tap.kinds[Int(event.kind)]
        let start = out.count
        var invisible = 0
        invisible += dim {
            $0.put("+")
            $0.put(decimal: event.time / 1_000_000_000)
            $0.put(".")
            $0.put(decimal: event.time % 1_000_000_000 / 1000, width: 6)
            $0.put("s")
        }
        out.pad(to: 13, from: start + invisible)
        out.put(Self.mode(event.ring))
        let task = guest.names.task(event.task)
        showsTasks = showsTasks || !task.isEmpty
        if showsTasks {
            out.put("  ")
            let column = out.count
            out.put(task)
            out.pad(to: 16, from: column, minimum: 0)
        }
        out.put("  ")
        let column = out.count
        if event.ring == TraceEvent.hostRing {
            out.put("-")
        } else {
            out.put(guest.names.origin(of: event, guest.tap).text)
        }
        out.pad(to: 32, from: column)
        let nameStart = out.count
        // What happens during another event is shown below it, to the right.
        for _ in 0..<min(3, depth(of: event)) { out.put("  ") }
        invisible = coloured(kind.categories) { $0.put(string: kind.name) }
        out.pad(to: 16, from: nameStart + invisible, minimum: kind.arguments.isEmpty ? 1 : 0)
        let (tap, names) = guest
        ArgumentText.put(
            event.arguments, kind, tap.names,
            place: { address in
                let place = names.place(address, tap)
                return place.symbol == nil ? nil : place.text
            }, into: &out)
        putEnd(event)
        out.put(lineEnd)
        if out.count > 1 << 16 { flush() }
    }

    /// How many earlier events are still going on.
    private func depth(of event: TraceEvent) -> Int {
        open.removeAll { $0 <= event.time }
        defer {
            if event.flags.contains(.timed), event.duration != TraceEvent.unknownDuration {
                open.append(event.time + UInt64(event.duration))
            }
        }
        return open.count
    }

    private static func mode(_ ring: UInt8) -> StaticString {
        switch ring {
        case 3: "user  "
        case TraceEvent.hostRing: "host  "
        default: "kernel"
        }
    }

    /// Whether it waited in a queue, and how long the hypervisor took.
    private func putEnd(_ event: TraceEvent) {
        if event.flags.contains(.queued) { out.put("  queued") }
        guard event.flags.contains(.timed), event.duration != TraceEvent.unknownDuration else { return }
        out.put("  ")
        dim {
            $0.put("[")
            $0.put(decimal: UInt64(event.duration / 1000))
            $0.put(".")
            $0.put(decimal: UInt64(event.duration % 1000 / 100))
            $0.put(" µs]")
        }
    }

    public func record(_ record: TraceRecord) {}

    public func flush() {
        guard !out.isEmpty else { return }
        file.write(out.bytes)
        out.clear()
    }

    public func end() { flush() }

    // MARK: Colours

    /// Gives how many bytes nobody sees.
    @discardableResult
    private func dim(_ body: (inout TextBuffer) -> Void) -> Int { wrapped("\u{1B}[2m", body) }

    private func coloured(_ categories: TraceCategory, _ body: (inout TextBuffer) -> Void) -> Int {
        wrapped(Self.colour(categories), body)
    }

    private func wrapped(_ code: StaticString, _ body: (inout TextBuffer) -> Void) -> Int {
        guard isColoured else {
            body(&out)
            return 0
        }
        out.put(code)
        body(&out)
        out.put("\u{1B}[0m")
        return code.utf8CodeUnitCount + 4
    }

    private static func colour(_ categories: TraceCategory) -> StaticString {
        if categories.contains(.pagetable) { return "\u{1B}[32m" }
        if categories.contains(.hypercall) { return "\u{1B}[36m" }
        if categories.contains(.trap) { return "\u{1B}[31m" }
        if categories.contains(.syscall) || categories.contains(.user) { return "\u{1B}[33m" }
        if categories.contains(.virtio) || categories.contains(.mmio) { return "\u{1B}[34m" }
        return categories.contains(.irq) ? "\u{1B}[35m" : "\u{1B}[1m"
    }
}
