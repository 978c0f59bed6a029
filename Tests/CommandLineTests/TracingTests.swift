// SPDX-License-Identifier: Apache-2.0
//
// Traces and reports as the program makes them.

import Foundation
import TestSupport
import Testing

@Suite(
    "Tracing", .serialized, .enabled(if: Program.path != nil, "run `make build` first"),
    .enabled(if: BuiltinGuestFile.exists, "run `make guest` first"))
struct TracingTests {
    private let guest = BuiltinGuestFile.path
    private static let work = "run=user; pagefault; async; timer 1"

    @Test("lines on standard error, the console on standard output")
    func terminal() throws {
        let done = try Program.run(["64m", guest, "--trace=syscall,user", "run=user"])
        #expect(done.status == 0)
        #expect(!done.output.contains("SYSCALL") && done.output.contains("two system calls"))
        let lines = done.errors.split(separator: "\n")
        #expect(lines.first?.hasPrefix("# time") == true && lines.count == 7, "\(done.errors)")
        #expect(lines.dropFirst().allSatisfy { $0.hasPrefix("+0.") && !$0.contains("\u{1B}") })
        let filtered = try Program.run(
            ["64m", guest, "--trace=all", "--trace-filter", "vector=13", "--color=always", "run=user"])
        #expect(filtered.errors.components(separatedBy: "\u{1B}[31mTRAP").count == 2, "\(filtered.errors)")
        let symbol = try Program.run([
            "64m", guest, "--trace=hypercall", "--trace-filter=symbol=IDT.load*", "run=halt",
        ])
        #expect(symbol.errors.components(separatedBy: "LOAD_IDT_ENTRY").count == 257)
        #expect(!symbol.errors.contains("LOAD_GDT_ENTRY"))
    }

    @Test("the three forms agree, and follow their formats")
    func forms() throws {
        try Program.withFolder { folder in
            let files = ["text", "trace.jsonl", "trace.json"].map { folder + "/" + $0 }
            let done = try Program.run(
                ["64m", guest, "--trace=all"] + files.map { "--trace-output=\($0)" } + [Self.work])
            #expect(done.status == 0 && done.errors.isEmpty, "\(done.errors)")
            let text = try String(contentsOfFile: files[0], encoding: .utf8).split(separator: "\n")
                .dropFirst()
            let lines = try String(contentsOfFile: files[1], encoding: .utf8).split(separator: "\n").map {
                try #require(try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any])
            }
            #expect(lines.first?["trace"] as? String == "lguest" && lines.first?["version"] as? Int == 1)
            let events = lines.filter { $0["event"] != nil }
            #expect(events.count == text.count && events.count > 1000)
            for (event, line) in zip(events, text) {
                let name = try #require(event["event"] as? String)
                #expect(line.contains(" \(name)"), "\(line)")
                #expect(
                    event["time"] is Int && event["categories"] is String
                        && event["arguments"] is [String: Any])
            }
            let records = lines.compactMap { $0["record"] as? String }
            #expect(Set(records) == ["pageTables", "heat", "statistics"])
            try Self.checkTimeline(files[2], events: events.count)
        }
    }

    /// The schema of the Trace Event Format, as far as viewers insist on it; slices of one track nest.
    private static func checkTimeline(_ path: String, events: Int) throws {
        let data = try Data(contentsOf: URL(fileURLWithPath: path))
        let file = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
        let all = try #require(file["traceEvents"] as? [[String: Any]])
        #expect(file["displayTimeUnit"] as? String == "ns")
        var open: [Int: [Double]] = [:]
        var last: [Int: Double] = [:]
        var seen = 0
        for event in all {
            let phase = try #require(event["ph"] as? String)
            let track = try #require(event["tid"] as? Int)
            #expect(event["pid"] as? Int == 1 && event["name"] is String && event["args"] is [String: Any])
            guard phase != "M" else { continue }
            let start = try #require(event["ts"] as? Double)
            #expect(event["cat"] is String)
            if track != 2 { seen += 1 }
            guard phase == "X" else {
                #expect(phase == "i" && event["s"] as? String == "t")
                continue
            }
            let end = start + (try #require(event["dur"] as? Double))
            #expect(start >= last[track] ?? 0, "events of a track in order")
            last[track] = start
            // A nanosecond of tolerance: times are decimal fractions of microseconds.
            open[track, default: []].removeAll { $0 <= start + 0.001 }
            if let around = open[track]?.last { #expect(end <= around + 0.001, "slices overlap at \(start)") }
            open[track, default: []].append(end)
        }
        #expect(seen == events)
        let modes = Set(all.filter { $0["cat"] as? String == "mode" }.compactMap { $0["name"] as? String })
        #expect(modes == ["kernel", "program", "idle"])
    }

    @Test("a report from either file is the one that the run itself makes")
    func reports() throws {
        try Program.withFolder { folder in
            let (lines, timeline, direct) = (folder + "/t.jsonl", folder + "/t.json", folder + "/r.html")
            let done = try Program.run([
                "64m", guest, "--trace=all", "--trace-output=\(lines)", "--trace-output", timeline,
                "--report=\(direct)", Self.work,
            ])
            #expect(done.status == 0 && done.errors.isEmpty, "\(done.errors)")
            let page = try String(contentsOfFile: direct, encoding: .utf8)
            for trace in [lines, timeline] {
                let output = folder + "/again.html"
                #expect(try Program.run(["report", trace, "-o", output]).status == 0)
                #expect(try String(contentsOfFile: output, encoding: .utf8) == page, "\(trace)")
            }
            // One file, nothing from elsewhere.
            for word in ["http://", "https://", "src=", "@import", "url("] { #expect(!page.contains(word)) }
        }
    }

    @Test("what is no trace is refused in one line")
    func refusals() throws {
        try Program.withFolder { folder in
            let bad = folder + "/bad"
            let cases: [(String, String)] = [
                ("", "no trace of lguest's"), ("{}\n", "no trace of lguest's"),
                ("\u{0}\u{1}", "line 1, character 1"),
                ("{\"trace\":\"lguest\",\"kinds\":[]}\n{\"event\":\"X\",\"time\":1}\n", "line 2 is no event"),
                ("{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n", "the trace has no end"),
                (String(repeating: "[", count: 10_000), "nested too deeply"),
            ]
            for (text, reason) in cases {
                try text.write(toFile: bad, atomically: true, encoding: .utf8)
                let done = try Program.run(["report", bad, "-o", folder + "/out.html"])
                #expect(done.status == 2 && done.errors.contains(reason), "\(done.errors)")
                #expect(done.errors.split(separator: "\n").count == 1)
            }
            #expect(try Program.run(["report", folder + "/none", "-o", bad]).status == 2)
            let denied = try Program.run(["64m", guest, "--report=\(folder)/no/where.html", "run=halt"])
            #expect(denied.status == 2 && denied.errors.contains("No such file"), "\(denied.errors)")
        }
    }

    @Test(
        "words that make no sense",
        arguments: [
            (["--trace=hyper"], "no kind of event called 'hyper'"),
            (["--trace-filter=vector=1"], "nothing is traced"),
            (["--trace=all", "--trace-filter=x"], "no trace filter"),
            (["--trace=all", "--symbols=/none"], "/none"),
            (["--trace=all", "--trace-moment=-1"], "number of seconds"),
        ] as [([String], String)])
    func complaints(words: [String], reason: String) throws {
        let done = try Program.run(["64m", guest] + words + ["run=halt"])
        #expect(done.status == 2 && done.errors.contains(reason), "\(done.errors)")
    }

    private static let others = KernelInventory.all.filter { !$0.isCompressed && $0.version != nil }

    @Test(
        "symbols of another kernel are taken, with a warning",
        .enabled(if: Set(others.compactMap { $0.version?.release }).count > 1, "no two Linux kernels"))
    func wrongSymbols() throws {
        let one = try #require(Self.others.first)
        let other = try #require(Self.others.first { $0.version != one.version })
        func errors(_ symbols: InventoryKernel) throws -> String {
            try Program.run(["64m", one.path, "--symbols=\(symbols.path)", "--timeout=1", "console=hvc0"])
                .errors
        }
        let warning = "symbols of Linux \(other.version?.release ?? ""), but the kernel is"
        #expect(try errors(other).contains(warning))
        #expect(try !errors(one).contains("symbols of Linux"))
    }

    @Test("a restart goes on in the same trace")
    func restart() throws {
        try Program.withFolder { folder in
            let file = folder + "/trace.json"
            let banner = "lguest builtin guest"
            let done = try Program.run(
                ["64m", guest, "--trace=hypercall", "--trace-output=\(file)", "--timeout=60"],
                steps: [(banner, "reboot\r"), (banner, "halt\r")])
            #expect(done.status == 0, "\(done.errors)")
            let data = try Data(contentsOf: URL(fileURLWithPath: file))
            let trace = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
            let events = try #require(trace["traceEvents"] as? [[String: Any]])
            #expect(events.filter { $0["name"] as? String == "LGUEST_INIT" }.count == 2)
            let times = events.filter { $0["tid"] as? Int == 1 }.compactMap { $0["ts"] as? Double }
            #expect(times == times.sorted())
        }
    }

    @Test("explain, and the report of a crash that points to it")
    func explain() throws {
        let one = try Program.run(["explain", "LHCALL_SET_PTE"])
        #expect(one.status == 0 && one.output.hasPrefix("LHCALL_SET_PTE – a page-table entry has changed"))
        #expect(one.output.contains("On real hardware:") && one.output.contains("Xen PV"))
        #expect(one.output.split(separator: "\n").allSatisfy { $0.count <= 80 })
        #expect(try Program.run(["explain", "0x1f"]).output.contains("the way into the hypervisor"))
        #expect(try Program.run(["explain"]).output.contains("Fields of the shared page"))
        let nothing = try Program.run(["explain", "pte_"])
        #expect(nothing.status == 2 && nothing.errors.contains("nothing is called 'pte_'"))
        let crash = try Program.run(["64m", guest, "run=crash ud"])
        let line = try #require(crash.errors.split(separator: "\n").first { $0.contains("lguest explain") })
        let topic = try #require(line.split(separator: "'").dropFirst().first)
        #expect(try Program.run(["explain", String(topic)]).output.contains("invalid-opcode"))
    }
}
