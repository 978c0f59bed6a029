// SPDX-License-Identifier: Apache-2.0
//
// The system call of user code, as a guest interface has last delivered it: everything that generated code needs to
// deliver the next one itself. The interface says when something of it changes.

/// What `int $0x80` at privilege 3 does while `isPrepared` is not zero.
public struct SystemCallGate: BitwiseCopyable, Sendable {
    /// Linux's system call vector.
    public static let vector: UInt8 = 0x80
    /// System call numbers (EAX) that `watched` can name.
    public static let watchedLimit = 512

    public var isPrepared: UInt32 = 0
    /// The handler.
    public var target: UInt32 = 0
    /// ESP before the frame is pushed. The frame is SS, ESP, EFLAGS, CS, EIP.
    public var stackTop: UInt32 = 0
    /// Privilege level of the handler.
    public var level: UInt32 = 0
    /// Segments of the handler, both flat.
    public var code = SegmentRegister()
    public var stack = SegmentRegister()
    /// Host address of a word in guest memory whose bit 9 stands for EFLAGS.IF, or 0.
    public var virtualFlag: UInt = 0
    /// Host address of the byte that tells whether code lies in the page of that word.
    public var virtualFlagCode: UInt = 0
    /// Whether delivery clears that word.
    public var clearsVirtualFlag: UInt32 = 0
    /// How often generated code has delivered one.
    public var delivered: UInt64 = 0
    /// System calls that are the interface's to deliver, a bit for each number.
    public var watched = InlineArray<16, UInt32>(repeating: 0)

    public init() {}

    /// Keeps system call `number` for the interface.
    public mutating func watch(_ number: Int) {
        guard number < SystemCallGate.watchedLimit else { return }
        watched[number >> 5] |= 1 << UInt32(number & 31)
    }
}

/// What generated code needs to cross between user and kernel code without the engine.
public struct CrossingState: BitwiseCopyable, Sendable {
    /// Zero sends every crossing to the engine.
    public var isAllowed: UInt32 = 0
    /// How code at the current privilege, in the kernel and in user code reaches memory (see the engine's `MemoryPath`).
    public var path: UInt32 = 0
    public var kernelPath: UInt32 = 0
    public var userPath: UInt32 = 0
    /// Jump tables of those two.
    public var kernelJumps: UInt = 0
    public var userJumps: UInt = 0
    /// Window of user code in the address space with the tables `tables`, or 0.
    public var userWindow: UInt = 0
    /// Kernel read table that `userWindow` was found for.
    public var tables: UInt = 0
    /// What GS points to.
    public var gsBase: UInt = 0
    /// Stack of generated code: its base, the lowest place where a kernel's part may begin, and, while the kernel runs,
    /// where user code left it.
    public var stackBase: UInt = 0
    public var lowestKernelStack: UInt = 0
    public var userStack: UInt = 0
    /// Whether the kernel's part is in use. User code never returns by what the kernel has left there.
    public var onKernelStack: UInt32 = 0
    /// Crossings that were made: from and to user code.
    public var entries: UInt64 = 0
    public var returns: UInt64 = 0

    public init() {}
}
