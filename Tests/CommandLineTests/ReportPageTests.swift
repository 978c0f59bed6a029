// SPDX-License-Identifier: Apache-2.0
//
// The report in a browser: Chromium without a window opens it, keys are pressed, and what it shows is compared
// with what `--stats` printed for the same run.

import Foundation
import TestSupport
import Testing

/// Chromium, where the machine has it.
private enum Browser {
    static let path: String? = {
        let folders = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":")
        let names = ["chromium", "chromium-browser", "google-chrome"]
        return folders.flatMap { folder in names.map { "\(folder)/\($0)" } }
            .first { FileManager.default.isExecutableFile(atPath: $0) }
    }()

    private static let options = [
        "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-extensions", "--hide-scrollbars",
        "--window-size=1280,1600", "--virtual-time-budget=2000",
    ]

    /// What the program prints with these further words.
    static func run(_ words: [String], profile: String) throws -> Data {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: try #require(path))
        process.arguments = options + ["--user-data-dir=\(profile)"] + words
        let output = Pipe()
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        process.standardInput = FileHandle.nullDevice
        try process.run()
        let data = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return data
    }
}

@Suite(
    "Report in a browser", .serialized, .enabled(if: Program.path != nil, "run `make build` first"),
    .enabled(if: BuiltinGuestFile.exists, "run `make guest` first"),
    .enabled(if: Browser.path != nil, "there is no chromium: apt-get install chromium"))
struct ReportPageTests {
    /// What a person would look at, collected by a script at the end of the page.
    private static let probe = #"""
        <script>{
        const press = (key, target) => (target || document.body).dispatchEvent(
          new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
        const rows = id => [...document.querySelectorAll(`#${id} tbody tr`)].map(row => [...row.cells].map(cell => cell.textContent));
        const colours = () => { const style = getComputedStyle(document.body); return [style.backgroundColor, style.color]; };
        const result = { ready: document.documentElement.dataset.ready || "", title: document.title,
          sections: [...document.querySelectorAll("main > section")].map(section => section.id),
          empty: [...document.querySelectorAll(".none")].map(node => node.textContent),
          costs: rows("costs"), statistics: rows("statistics-table"), callers: rows("callers-table"), before: colours() };
        press("t"); result.after = colours(); press("t"); result.back = colours();
        press("3"); result.focus = document.activeElement.id;
        const timeline = document.getElementById("timeline-canvas"), said = () => timeline.nextElementSibling.textContent;
        timeline.focus(); result.first = said(); press("ArrowRight", timeline); result.second = said();
        const memory = document.getElementById("memory-canvas"), cell = () => memory.nextElementSibling.textContent;
        memory.focus(); press("Home", memory); result.cell = cell(); press("ArrowRight", memory); result.nextCell = cell();
        document.getElementById("moment").value = document.getElementById("moment").options.length - 1;
        document.getElementById("moment").dispatchEvent(new Event("change"));
        const search = document.getElementById("address"); search.value = "0xc0100000"; search.dispatchEvent(new Event("input"));
        result.lookup = document.querySelector("#tables .readout").textContent;
        result.steps = [...document.querySelectorAll(".step b")].map(step => step.textContent);
        const texts = () => [...document.querySelectorAll(".step small")].map(step => step.textContent);
        const tabs = [...document.querySelectorAll("#journeys [role=tab]")];
        result.texts = tabs.flatMap(tab => { tab.click(); return texts(); }); tabs[0].click();
        document.querySelector(".step").focus(); result.explained = document.querySelector("#journeys .explain b").textContent;
        result.journeys = [...document.querySelectorAll("#journeys [role=tab]")].map(tab => tab.textContent);
        result.moments = document.getElementById("moment").options.length;
        result.unreachable = [...document.querySelectorAll("[onclick]:not(button):not(a)")].length;
        result.keys = (press("?"), document.getElementById("keys").open);
        const out = document.createElement("pre"); out.id = "probe"; out.textContent = btoa(unescape(encodeURIComponent(JSON.stringify(result))));
        document.body.append(out);
        }</script>
        """#

    private struct Seen: Decodable {
        let ready, title, focus, first, second, cell, nextCell, lookup, explained: String
        let sections, empty, before, after, back, steps, texts, journeys: [String]
        let costs, statistics, callers: [[String]]
        let moments, unreachable: Int
        let keys: Bool
    }

    /// Runs the built-in guest with a report, and gives what the page shows and what `--stats` said.
    private func look(_ flags: [String] = []) throws -> (seen: Seen, statistics: [String: String]) {
        try Program.withFolder { folder in
            let page = folder + "/report.html"
            let done = try Program.run([
                "64m", BuiltinGuestFile.path, "--report=\(page)", "--stats", "--net=user",
                "run=user; pagefault; async; timer 1; net dhcp pci; user",
            ])
            #expect(done.status == 0)
            let html = try String(contentsOfFile: page, encoding: .utf8)
            let probed = html.replacingOccurrences(of: "</body>", with: Self.probe + "</body>")
            let path = folder + "/probed.html"
            try probed.write(toFile: path, atomically: true, encoding: .utf8)
            let dom = String(
                decoding: try Browser.run(
                    flags + ["--dump-dom", "file://" + path], profile: folder + "/profile"), as: UTF8.self)
            let start = try #require(dom.range(of: "<pre id=\"probe\">"), "the page's script did not finish")
            let end = try #require(dom.range(of: "</pre>", range: start.upperBound..<dom.endIndex))
            let data = try #require(Data(base64Encoded: String(dom[start.upperBound..<end.lowerBound])))
            var statistics: [String: String] = [:]
            for line in done.errors.split(separator: "\n") where line.hasPrefix("  ") {
                let words = line.split(separator: " ")
                statistics[words.dropLast().joined(separator: " ")] = words.last.map(String.init)
            }
            return (try JSONDecoder().decode(Seen.self, from: data), statistics)
        }
    }

    @Test("the page shows what --stats says, and everything can be reached by keys")
    func numbers() throws {
        let (seen, statistics) = try look()
        #expect(seen.ready == "yes" && seen.title == "lguest report – guest.elf")
        #expect(
            seen.sections == [
                "overview", "timeline", "costs", "callers", "journeys", "memory", "tables", "statistics",
            ])
        #expect(seen.empty.isEmpty, "\(seen.empty)")
        for row in seen.statistics where !row[0].hasSuffix(" seconds") && !row[0].hasPrefix("million") {
            #expect(statistics[row[0]] == row[1].replacingOccurrences(of: ",", with: ""), "\(row)")
        }
        let counts = Dictionary(
            seen.costs.map { ($0[0], $0[2].replacingOccurrences(of: ",", with: "")) },
            uniquingKeysWith: { a, _ in a })
        for (name, value) in statistics where name.hasPrefix("hypercalls: LHCALL_") {
            #expect(counts[String(name.dropFirst(19))] == value, "\(name)")
        }
        #expect(counts["IRQ 0"] == statistics["traps: 32"] && statistics["traps: 32"] != nil)
        #expect(
            counts["PAGE_FAULT"] == statistics["traps: 14"]
                && counts["TRAP 13 (general protection)"] == statistics["traps: 13"])
        #expect(seen.callers.contains { $0[0].contains("IDT.load") && $0[1] == "256" }, "\(seen.callers)")
        #expect(seen.focus == "costs-title" && seen.first != seen.second)
        #expect(seen.cell.hasPrefix("0x00000000") && seen.cell != seen.nextCell)
        #expect(
            seen.lookup.contains("directory 768 → entry 256 → physical 0x00100000, kernel rw"),
            "\(seen.lookup)")
        #expect(seen.steps.contains { $0 == "SYSCALL" } && seen.steps.contains { $0 == "TO_USER" })
        for topic in ["system call: ", "page fault: ", "packet on its way out: ", "packet on its way in: "] {
            #expect(seen.journeys.contains { $0.contains(topic) }, "\(topic)\(seen.journeys)")
        }
        // A fault's handler has its name.
        #expect(
            seen.texts.contains { $0.contains("access ") && $0.hasSuffix(" (trap_entry_14)") },
            "\(seen.texts)")
        #expect(seen.explained.hasPrefix("SYSCALL – a program calls its kernel"), "\(seen.explained)")
        #expect(seen.moments >= 2 && seen.unreachable == 0 && seen.keys)
    }

    @Test("light and dark: as the system says, and by a key")
    func themes() throws {
        let light = try look().seen
        let dark = try look(["--blink-settings=preferredColorScheme=0"]).seen
        #expect(light.before == dark.after && dark.before == light.after)
        #expect(light.before == light.back && dark.before == dark.back && light.before != dark.before)
        for colours in [light.before, dark.before] {
            let parts = colours.map { $0.split { !$0.isNumber }.compactMap { Double($0) } }
            #expect(Self.contrast(parts[0], parts[1]) >= 7, "\(colours)")
        }
    }

    /// Contrast of two colours (WCAG 2, 1.4.6 wants 7 for text).
    private static func contrast(_ a: [Double], _ b: [Double]) -> Double {
        func luminance(_ colour: [Double]) -> Double {
            let linear = colour.prefix(3).map { value in
                let part = value / 255
                return part <= 0.03928 ? part / 12.92 : pow((part + 0.055) / 1.055, 2.4)
            }
            return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
        }
        let (high, low) = (max(luminance(a), luminance(b)), min(luminance(a), luminance(b)))
        return (high + 0.05) / (low + 0.05)
    }
}
