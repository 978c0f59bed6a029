// SPDX-License-Identifier: Apache-2.0
//
// The guest kernel's tasks, for debuggers that show them as threads. Where they cannot be found (no symbols, no
// Linux, too early) there is one thread: the processor.

import Support
import X86

/// One task of a Linux guest.
public struct GuestTask: Equatable, Sendable {
    /// How debuggers number it: the pid plus one, since no thread may have the number 0.
    public var thread: Int
    public var pid: UInt32
    public var name: String
    /// Of its `struct task_struct`; 0 when there is none.
    public var address: UInt32
}

/// What is known of the registers of a task that does not run.
struct SavedRegisters: Equatable {
    var eip: UInt32
    var esp: UInt32
    var ebp: UInt32
}

/// What Linux calls the variables that lead to its tasks.
public enum KernelVariables {
    /// It points to the task that runs; in 6.2 to 6.14 it is the first word of a structure.
    public static let current = ["current_task", "per_cpu__current_task", "pcpu_hot"]
    /// Where the variables of each processor are, as distances from their place in the kernel file.
    public static let distances = "__per_cpu_offset"
    public static let first = "init_task"
}

/// Looks for tasks anew each time it is asked; only the layout is kept, once it is known.
public final class TaskList {
    /// What the kernel's symbols say.
    private struct Places {
        var first: UInt32?
        let text: KernelText
        var current: UInt32?
        var offset: UInt32?

        init(_ symbols: SymbolTable) {
            text = KernelText(symbols)
            first = symbols.address(of: [KernelVariables.first])
            guard first != nil else { return }
            current = symbols.address(of: KernelVariables.current)
            offset = symbols.address(of: [KernelVariables.distances])
        }
    }

    private let view: GuestView
    private var layout: TaskLayout?
    /// Nil as long as there are no symbols: some kernels have theirs in memory only.
    private lazy var places = view.symbols.map(Places.init)
    private lazy var search = FirstTask(view)

    static let processor = GuestTask(thread: 1, pid: 0, name: "processor", address: 0)
    /// The same beside tasks of which none is known to run.
    private static let somebody = GuestTask(thread: 0x4000_0001, pid: 0, name: "processor", address: 0)

    public init(_ view: GuestView) { self.view = view }

    private var found: Places? {
        if places == nil { places = view.symbols.map(Places.init) }
        // No name leads to the tasks, so they are looked for, but only where there is a kernel that we know.
        if places?.text.isKnown == true, places?.first == nil { places?.first = search.find() }
        return places
    }

    /// Whether the borders of the kernel's code are known.
    var knowsText: Bool { found?.text.isKnown == true }

    /// Whether `address` is in the kernel's code.
    func isText(_ address: UInt32) -> Bool { found?.text.contains(address) ?? false }

    /// All tasks, or the processor alone. A thread that is not the first of its process is there only if it runs.
    public func all() -> [GuestTask] {
        let tasks = processes()
        let current = running(tasks)
        return tasks.contains(current) ? tasks : tasks + [current]
    }

    /// The task that runs.
    public func current() -> GuestTask { running(processes()) }

    /// The kernel's ring of tasks; empty when it is not known.
    private func processes() -> [GuestTask] {
        guard let first = found?.first, let layout = currentLayout(first) else { return [] }
        return layout.allTasks(view, first: first).enumerated().map { task($0.element, $0.offset, layout) }
    }

    private func currentLayout(_ first: UInt32) -> TaskLayout? {
        // The first layouts found are of a kernel with few tasks: not yet all there.
        if layout?.stackPointer == nil { layout = TaskLayout.find(view, first: first, isText: isText) }
        return layout
    }

    private func task(_ address: UInt32, _ index: Int, _ layout: TaskLayout) -> GuestTask {
        let pid = layout.pid.flatMap { view.word(address &+ $0) } ?? UInt32(index)
        let name = view.text(address &+ layout.name, limit: TaskLayout.nameBytes) ?? "?"
        return GuestTask(thread: Int(pid & 0x3FFF_FFFF) + 1, pid: pid, name: name, address: address)
    }

    private func running(_ tasks: [GuestTask]) -> GuestTask {
        guard !tasks.isEmpty, let layout else { return Self.processor }
        if let current = found?.current {
            let offset = found?.offset.flatMap { view.word($0) } ?? 0
            if let address = view.word(current &+ offset) {
                if let task = tasks.first(where: { $0.address == address }) { return task }
                if layout.pid != nil, layout.isNamed(view, address) { return task(address, 0, layout) }
            }
        }
        return runningByStack(tasks, layout) ?? layout.owner(of: view.cpu.system.cr3, view, tasks)
            ?? Self.somebody
    }

    private func runningByStack(_ tasks: [GuestTask], _ layout: TaskLayout) -> GuestTask? {
        let esp = view.cpu[r32: GPR.esp]
        return tasks.first { stackRange(of: $0, layout)?.contains(esp) ?? false }
    }

    private func stackRange(of task: GuestTask, _ layout: TaskLayout) -> Range<UInt32>? {
        guard let offset = layout.stack, let base = view.word(task.address &+ offset),
            base <= UInt32.max - TaskLayout.stackBytes
        else { return nil }
        return base..<base + TaskLayout.stackBytes
    }

    /// Where a task that does not run will go on; nil when that is not known.
    func savedRegisters(of task: GuestTask) -> SavedRegisters? {
        guard let layout, let offset = layout.stackPointer, let esp = view.word(task.address &+ offset)
        else { return nil }
        if let field = layout.instructionPointer, let eip = view.word(task.address &+ field) {
            // Behind the switch EBP is popped first.
            return SavedRegisters(eip: eip, esp: esp, ebp: view.word(esp) ?? 0)
        }
        // The registers that the switch pushed, EBP last before the return address.
        for slot in UInt32(1)...6 {
            if let eip = view.word(esp &+ 4 * slot), isText(eip) {
                return SavedRegisters(
                    eip: eip, esp: esp &+ 4 * slot &+ 4, ebp: view.word(esp &+ 4 * (slot - 1)) ?? 0)
            }
        }
        return nil
    }
}
