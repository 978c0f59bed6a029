// SPDX-License-Identifier: Apache-2.0
//
// `crash`: mistakes that a hypervisor must survive and explain. Each ends the guest; the text after it
// appears only if it did not.
import Machine

enum Crash: Int {
    /// An unknown opcode, and nobody to handle it.
    case ud
    /// A hypercall that does not exist.
    case hypercall
    /// A jump to an address where nothing is, without a page fault handler.
    case jump
    /// A stack that is not there: the page fault cannot be delivered, because that needs a stack.
    case triple
    /// A stack for ring 3 where one for ring 1 belongs.
    case stack
    /// LGUEST_INIT for the second time.
    case `init`
    /// A gate of a kind that the ABI does not know.
    case idt
    /// A descriptor beyond the end of the table.
    case gdt
    /// A physical address beyond the end of memory.
    case address

    static let count = 9

    var name: StaticString {
        switch self {
        case .ud: "ud"
        case .hypercall: "hypercall"
        case .jump: "jump"
        case .triple: "triple"
        case .stack: "stack"
        case .`init`: "init"
        case .idt: "idt"
        case .gdt: "gdt"
        case .address: "address"
        }
    }

    static func run(_ word: Text) {
        for number in 0..<count {
            guard let crash = Crash(rawValue: number), word == crash.name else { continue }
            Console.flush()
            crash.happen()
            say("crash \(word): survived")
            return
        }
        say("crash what? ud hypercall jump triple stack init idt gdt address")
    }

    private func happen() {
        switch self {
        case .ud:
            IDT.clear(6)
            instruction_undefined()
        case .hypercall:
            _ = instruction_hypercall(99, 1, 2, 3, 4)
        case .jump:
            IDT.clear(14)
            _ = run_probe(probe_jump.entry, 0xDEAD_0000, 0)
        case .triple:
            _ = run_probe(probe_stack_gone.entry, KernelMap.testWindow.value + 0x800, 0)
        case .stack:
            Hypercall.setStack(UInt32(USER_DATA), trap_stack_top_address(), 1)
        case .`init`:
            Hypercall.initialise(SharedPage.physicalAddress.value)
        case .idt:
            Hypercall.loadIDTEntry(40, 0, 0x8500)
        case .gdt:
            Hypercall.loadGDTEntry(40, 0, 0)
        case .address:
            Hypercall.loadTLS(0xFFFF_F000, 0)
        }
    }
}
