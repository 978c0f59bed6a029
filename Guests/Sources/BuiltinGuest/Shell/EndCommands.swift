// SPDX-License-Identifier: Apache-2.0
//
// `crash`: mistakes that a hypervisor must survive and explain. Each ends the guest; the text after it appears only
// if it did not.
import Machine

enum EndCommands {
    static func crash(_ kind: Text) {
        Console.flush()
        if kind == "ud" { undefinedInstruction() }
        else if kind == "hypercall" { _ = instruction_hypercall(99, 1, 2, 3, 4) }
        else if kind == "jump" { jumpNowhere() }
        else if kind == "triple" { loseStack() }
        else if kind == "stack" { Hypercall.setStack(UInt32(USER_DATA), trap_stack_top_address(), 1) }
        else if kind == "init" { Hypercall.initialise(SharedPage.physicalAddress.value) }
        else if kind == "idt" { Hypercall.loadIDTEntry(40, 0, 0x8500) }
        else if kind == "gdt" { Hypercall.loadGDTEntry(40, 0, 0) }
        else if kind == "address" { Hypercall.loadTLS(0xFFFF_F000, 0) }
        else {
            say("crash what? ud hypercall jump triple stack init idt gdt address")
            return
        }
        say("crash \(kind): survived")
    }

    /// An unknown opcode, and nobody to handle it.
    private static func undefinedInstruction() {
        IDT.clear(6)
        instruction_undefined()
    }

    /// A jump to an address where nothing is, without a page fault handler.
    private static func jumpNowhere() {
        IDT.clear(14)
        _ = run_probe(probe_jump.entry, 0xDEAD_0000, 0)
    }

    /// A stack that is not there: the page fault cannot be delivered, because that needs a stack.
    private static func loseStack() {
        _ = run_probe(probe_stack_gone.entry, KernelMap.testWindow.value + 0x800, 0)
    }
}
