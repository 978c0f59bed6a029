// SPDX-License-Identifier: Apache-2.0
//
// Ring 3. A kernel enters it by "returning" to it: it builds the frame that a trap from there would have
// left, and executes IRET. The way back is always a trap, on the stack that SET_STACK named. The programs are
// those of UserPrograms.S, and there is one address space for them, with a page each of code, data and stack.
import Machine

enum UserMode {
    /// How a program ended: with a trap, which is a system call when all went well.
    struct Exit {
        var trap: TrapRecord
        /// The result of a program that ended by itself.
        var result: UInt32?
        /// Where the code was, as ring 3 saw it, to compare with addresses in the trap.
        var at: UInt32
        var after: UInt32
    }

    nonisolated(unsafe) private(set) static var space: AddressSpace?
    nonisolated(unsafe) private(set) static var dataPage = PhysicalAddress(value: 0)
    nonisolated(unsafe) private static var result: UInt32?

    static let text = VirtualAddress(value: UInt32(USER_TEXT))
    static let data = VirtualAddress(value: UInt32(USER_DATA_PAGE))
    static let stackTop = VirtualAddress(value: UInt32(USER_STACK_TOP))

    /// The address space for programs, made at the first call.
    static func prepare() -> AddressSpace {
        if let space { return space }
        let new = AddressSpace()
        dataPage = PageFrames.allocate()
        let code = VirtualAddress(value: user_text_start_address()).physical
        new.map(text, to: code, .userReadOnly)
        new.map(data, to: dataPage, .userPage)
        new.map(VirtualAddress(value: stackTop.value - 0x1000), to: PageFrames.allocate(), .userPage)
        space = new
        return new
    }

    static func run(_ program: probe, _ argument: UInt32 = 0) -> Exit {
        let space = prepare()
        let before = AddressSpace.current
        space.activate()
        result = nil
        Traps.seen = 0
        let shift = text.value &- user_text_start_address()
        instruction_barrier()
        enter_user(program.entry &+ shift, stackTop.value, argument)
        instruction_barrier()
        before.activate()
        return Exit(trap: Traps.last, result: result, at: program.at &+ shift, after: program.after &+ shift)
    }

    /// Carries out a system call and says whether the program goes on.
    static func systemCall(_ frame: inout TrapFrame) -> Bool {
        switch frame.eax {
        case 1:
            result = frame.ebx
            return false
        case 2:
            frame.eax = frame.ebx &+ 1
            return true
        default:
            return false
        }
    }

    /// Turns the frame of a trap from ring 3 into one that returns to `enter_user` in ring 1.
    static func leave(_ frame: inout TrapFrame) {
        frame.cs = UInt32(KERNEL_CODE)
        frame.eip = user_abandon_address()
        frame.eflags = SharedPage.interruptFlag | 2
        frame.ds = UInt32(KERNEL_DATA)
        frame.es = UInt32(KERNEL_DATA)
        frame.fs = 0
        frame.gs = 0
    }
}
