// SPDX-License-Identifier: Apache-2.0
//
// `lguest doctor`: it finds what is taken away.

import Foundation
import LguestKit
import Testing

@testable import lguest

@Suite("Doctor", .serialized, .enabled(if: Program.path != nil, "run `make build` first"))
struct DoctorTests {
    private func checks(_ words: [String], program: String? = nil) throws -> [String: [String: Any]] {
        let done = try Program.run(words, program: program)
        let report = try JSONSerialization.jsonObject(with: Data(done.output.utf8)) as? [String: Any]
        let list = try #require(report?["checks"] as? [[String: Any]], "\(done)")
        return Dictionary(uniqueKeysWithValues: list.map { ($0["name"] as? String ?? "", $0) })
    }

    @Test("each check says what is amiss, what that costs and how to get it")
    func shape() throws {
        let found = try checks(["doctor", "--json"])
        let names = [
            "guest memory", "free memory", "mappings", "memfd", "executable mappings", "processor", "sandbox",
            "user network", "passt", "user namespaces", "TAP", "terminal", "pseudo-terminals",
            "disk space here",
            "disk space for overlays", "disk files", "mke2fs", "tar", "apt", "built-in guest",
        ]
        #expect(Set(found.keys) == Set(names))
        for (name, check) in found {
            let isWell = check["status"] as? String == "works"
            #expect((check["cost"] is String) == !isWell && (check["remedy"] is String) == !isWell, "\(name)")
            #expect(check["found"] as? String != "", "\(name)")
        }
        // These tests run without a terminal.
        #expect(found["terminal"]?["status"] as? String == "limited")
    }

    @Test("with little address space, few programs and no room")
    func poor() throws {
        let program = try #require(Program.path)
        let script =
            "ulimit -v 1500000; export PATH=/nowhere TMPDIR=/proc/no-such; exec \(program) doctor --json"
        let found = try checks(["-c", script], program: "/bin/sh")
        #expect(found["guest memory"]?["status"] as? String == "limited")
        #expect(found["disk space for overlays"]?["status"] as? String == "missing")
        #expect(found["disk files"]?["status"] as? String == "missing")
        #expect(found["apt"]?["status"] as? String == "missing")
        #expect(found["passt"]?["status"] as? String == "missing")
    }

    @Test("the text names costs and remedies")
    func text() {
        let findings = [
            Finding("a", works: "yes"),
            Finding("b", .missing, "no", cost: "much", remedy: "buy", isRequired: true),
        ]
        let lines = DoctorCommand.lines(findings)
        #expect(lines.contains { $0.hasPrefix("a ") && $0.hasSuffix("works    yes") })
        #expect(lines.contains { $0.hasSuffix("costs:   much") })
        #expect(lines.contains { $0.hasSuffix("get it:  buy") })
        #expect(lines.last == "Guests do not run here.")
        #expect(!DoctorCommand.canRun(findings) && DoctorCommand.canRun([findings[0]]))
    }
}
