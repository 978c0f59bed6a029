// SPDX-License-Identifier: Apache-2.0

import Support
import Tap
import Testing

@testable import Trace

@Suite("Trace filters")
struct FilterTests {
    @Test(
        "globs",
        arguments: [
            ("*", "", true), ("load_*", "load_ucode", true), ("load_*", "reload_x", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false), ("*_bsp", "load_ucode_intel_bsp", true), ("*a*b*", "xxaxxbxx", true),
            ("*a*b", "xxaxxbx", false), ("", "", true), ("", "x", false), ("**x", "x", true),
        ] as [(String, String, Bool)])
    func globs(pattern: String, text: String, matches: Bool) {
        #expect(Glob(pattern).matches(text.utf8) == matches)
    }

    @Test("a glob that backtracks much ends all the same")
    func backtracking() {
        let pattern = String(repeating: "*a", count: 200) + "b"
        #expect(!Glob(pattern).matches(String(repeating: "a", count: 2000).utf8))
    }

    @Test(
        "what is no filter is refused",
        arguments: [
            "", "symbol", "symbol=", "vector=x", "vector=256", "mode=ring", "what=1", "vector=14,x",
            ",", "do_*,task=sh", "symbol=do_*,what=1", "symbol=,task=sh",
        ])
    func refusal(text: String) {
        #expect(throws: LguestError.self) { try TraceFilter(parsing: [text]) }
    }

    private let tap = TraceTap()
    private let names = GuestNames(
        NameSources(
            symbol: { address in
                let symbols = [
                    Symbol(name: "do_page_fault", address: 0xC100_0000, size: 256),
                    Symbol(name: "lguest_set_pte", address: 0xC200_0000, size: 256),
                ]
                return SymbolTable(symbols).lookup(address)
            }, task: { $0 == 0xC300_0000 ? "init" : nil }))

    private func event(
        _ kind: CommonKind, eip: UInt32 = 0xC100_0010, _ change: (inout TraceEvent) -> Void = { _ in }
    )
        -> TraceEvent
    {
        var event = TraceEvent()
        event.kind = UInt16(kind.rawValue)
        event.eip = eip
        event.ring = 1
        change(&event)
        return event
    }

    private func passes(_ filters: String..., event: TraceEvent) throws -> Bool {
        try TraceFilter(parsing: filters).matches(event, tap, names)
    }

    @Test("by symbol, of the place and of its callers")
    func symbols() throws {
        #expect(try passes("symbol=do_*", event: event(.trap)))
        #expect(try !passes("symbol=lguest_*", event: event(.trap)))
        let called = event(.trap, eip: 0xC200_0004) { $0.callers = SIMD2(0xC100_0020, 0) }
        #expect(try passes("symbol=do_page_fault", event: called))
        #expect(try passes("symbol=nothing,lguest_set_pte", event: called))
    }

    @Test("by vector: only events that have one")
    func vectors() throws {
        let fault = event(.pageFault) { $0.arguments[3] = 14 }
        #expect(try passes("vector=14", event: fault) && passes("vector=0xe", event: fault))
        #expect(try !passes("vector=13", event: fault))
        #expect(try passes("vector=13,0x80", event: event(.systemCall)))
        #expect(try !passes("vector=14", event: event(.portRead) { $0.arguments[0] = 14 }))
        #expect(try passes("vector=33", event: event(.interrupt) { $0.arguments[1] = 33 }))
    }

    @Test("by task, mode and event; several must all agree")
    func others() throws {
        let some = event(.systemCall) {
            $0.task = 0xC300_0000
            $0.cr3 = 0x1A3_D000
            $0.ring = 3
        }
        #expect(try passes("task=in*", event: some) && passes("task=0x1a3d000", event: some))
        #expect(try !passes("task=sh", event: some) && !passes("task=0x1000", event: some))
        #expect(try passes("mode=user", event: some) && !passes("mode=kernel,host", event: some))
        #expect(try passes("event=SYS*", "mode=user", "task=init", event: some))
        #expect(try !passes("event=SYS*", "mode=kernel", "task=init", event: some))
        // Two in one are two.
        #expect(try passes("event=X,SYS*,mode=user,task=a,init", event: some))
        #expect(
            try !passes("event=SYS*,task=sh", event: some) && !passes("task=init,mode=kernel", event: some))
    }
}
