// SPDX-License-Identifier: Apache-2.0
//
// The other debugger: lldb takes the same protocol, and wants other parts of it.

import Foundation
import LguestKit
import TestSupport
import Testing

@Suite(
    "lldb", .serialized, .enabled(if: LLDB.path != nil, "there is no lldb: apt-get install lldb"),
    .enabled(if: Program.path != nil, "run `make build` first"),
    .enabled(if: BuiltinGuestFile.exists, "run `make guest` first"))
struct LLDBTests {
    @Test("break, look, step, watch, ask the monitor, let go", arguments: ["interpreter", "translator"])
    func builtin(engine: String) throws {
        let guest = try DebuggedProgram(["64m", BuiltinGuestFile.path, "--engine=\(engine)", "run=mem"])
        let text = try LLDB.run(
            [
                "process connect --plugin gdb-remote unix-connect://\(guest.socket)",
                "breakpoint set --name guest_main", "process continue", "register read eip xmm0 st0 cr3",
                "thread backtrace", "thread step-inst",
                "watchpoint set expression -w write -s 4 -- (unsigned)$esp-8", "process continue",
                "process plugin packet monitor tlb 0xc0100000", "watchpoint delete -f",
                "breakpoint delete -f",
                "process continue",
            ], file: BuiltinGuestFile.path)
        var rest = text[...]
        for part in [
            "stop reason = breakpoint 1.1", "guest_main", "eip = 0xc0", "xmm0 = {", "st0 = {", "cr3 = 0x0",
            "frame #1", "high", "instruction step", "Watchpoint 1 hit", "stop reason = watchpoint 1",
            "0xc0100000 -> 0x100000", "exited with status = 0",
        ] {
            guard let range = rest.range(of: part) else {
                Issue.record("\"\(part)\" is missing, or not in its place, in:\n\(text)")
                break
            }
            rest = rest[range.upperBound...]
        }
        let end = guest.finish()
        #expect(end.status == 0 && end.text.contains("command line run=mem"), "\(end.text)")
    }
}

private enum LLDB {
    /// lldb, or nil where there is none that starts: toolchains bring one that wants a Python of its own.
    static let path: String? = HostPrograms.find("lldb").flatMap { found in
        let works = (try? Program.run(["--version"], program: found))?.status == 0
        return works ? found : ["/usr/bin/lldb"].first { FileManager.default.isExecutableFile(atPath: $0) }
    }

    /// Runs lldb with these commands on `file`; its output, errors included.
    static func run(_ commands: [String], file: String) throws -> String {
        let all = ["settings set target.language c", "target create '\(file)'"] + commands
        return try Child(
            try #require(path),
            ["--no-lldbinit", "--no-use-colors", "--batch"] + all.flatMap { ["-o", $0] }, together: true
        ).restOfOutput()
    }
}
