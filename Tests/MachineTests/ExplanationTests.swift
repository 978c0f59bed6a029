// SPDX-License-Identifier: Apache-2.0

import LguestKit
import TestSupport
import Testing

@Suite("Explanations")
struct ExplanationTests {
    @Test("everything that a trace can show is explained")
    func everyEvent() throws {
        let guest = try TestMachine(kernel: BuiltinGuestFile.path, commandLine: "run=halt")
        _ = guest.run()
        let kinds = guest.machine.tap.kinds.filter { !$0.name.hasPrefix("CALL_") }
        #expect(kinds.count > 30)
        for kind in kinds {
            #expect(!Explanations.find(kind.topic).isEmpty, "\(kind.name): topic \(kind.topic)")
            #expect(!Explanations.find(kind.name).isEmpty, "\(kind.name)")
        }
    }

    @Test(
        "names as people type them",
        arguments: [
            ("LHCALL_SET_PTE", "a page-table entry has changed"),
            ("set_pte", "a page-table entry has changed"),
            ("0x1f", "the way into the hypervisor"), ("31", "the way into the hypervisor"),
            ("page-fault", "a page that is not there, or not for you"),
            ("#GP", "something that is not allowed"),
            ("irq_enabled", "the guest's interrupt flag"),
            ("0xCF8", "which PCI configuration register is meant"),
            ("0x80", "a program calls its kernel"), ("isr_status", "why the device interrupted"),
            ("syscall", "a program calls its kernel"), ("trap 13", "something that is not allowed"),
            ("eax", "the processor's registers in a report"), ("cr3", "a control register"),
            ("EFLAGS", "the processor's flags in a report"),
            ("lapic", "the processor's own interrupt controller and timer"),
        ])
    func lookup(word: String, title: String) {
        #expect(Explanations.find(word).map(\.title).contains(title))
    }

    @Test("a number may be several things: 14 is a trap and a hypercall")
    func numbers() {
        let sections = Explanations.find("14").map(\.section)
        #expect(sections == [.hypercall, .trap])
        #expect(Explanations.find("0xe").map(\.section).contains(.trap))
        #expect(Explanations.find("hypercall 13").map(\.section) == [.hypercall])
        #expect(Explanations.find("irq 1").map(\.title) == ["an interrupt from a device or the timer"])
        #expect(Explanations.find("port 0x21").map(\.title) == ["the old interrupt controllers"])
        for vector in 0..<256 {
            let sections = Explanations.find("vector \(vector)").map(\.section)
            #expect(sections == [vector == 31 ? .hypercall : .trap], "vector \(vector)")
            guard vector != 31 else { continue }
            #expect(Explanations.find(String(vector)).contains { $0.section == .trap }, "vector \(vector)")
        }
    }

    @Test("every register of a crash report is explained")
    func registers() {
        let general = ["eax", "ebx", "ecx", "edx", "esi", "edi", "ebp", "esp", "eip", "eflags"]
        for name in general + ["cs", "ds", "es", "fs", "gs", "ss", "cr0", "cr2", "cr3", "cr4"] {
            #expect(!Explanations.find(name).isEmpty, "\(name)")
        }
        // What the shared page has instead comes first.
        #expect(Explanations.find("cr2").map(\.section) == [.sharedPage, .event])
    }

    @Test("what is not there is not found, but similar names are")
    func nothing() {
        #expect(Explanations.find("frobnicate").isEmpty)
        #expect(Explanations.suggestions("pte").contains("LHCALL_SET_PTE"))
        #expect(Explanations.suggestions("x").isEmpty)
    }

    @Test("each has a paragraph, and says what hardware does")
    func paragraphs() {
        for explanation in Explanations.all {
            #expect(!explanation.names.isEmpty && !explanation.title.isEmpty, "\(explanation)")
            #expect(explanation.use.count > 20 && !explanation.native.isEmpty, "\(explanation.names)")
        }
        #expect(Explanations.all.filter { $0.section == .hypercall }.count == 22)
        #expect(Explanations.all.filter { $0.section == .sharedPage }.count == 14)
    }
}
