// SPDX-License-Identifier: Apache-2.0
//
// Where a Linux kernel keeps what we want to know of a task. The offsets differ from version to version and from
// configuration to configuration, so they are found in the running guest: the first task is `init_task`, and
// it is called "swapper"; the list of tasks is the only ring through it on which everybody has a name; and so on.
// Each guess is checked on several tasks, so a wrong one is not taken for true.

import Support

/// Offsets in bytes into `struct task_struct`.
struct TaskLayout: Equatable {
    var name: UInt32
    /// The ring of all tasks.
    var tasks: UInt32
    var pid: UInt32?
    /// A word with the lowest address of the kernel stack.
    var stack: UInt32?
    /// The saved stack pointer of a task that does not run.
    var stackPointer: UInt32?
    /// Where such a task goes on; later kernels keep that on the stack.
    var instructionPointer: UInt32?

    /// Bytes of a kernel stack.
    static let stackBytes: UInt32 = 8192
    /// Names have 15 bytes and a zero.
    static let nameBytes = 16
    static let maximumTasks = 32768
}

extension TaskLayout {
    /// Finds the layout from `first`, the address of `init_task`; nil as long as there are not enough tasks.
    static func find(_ view: GuestView, first: UInt32, isText: (UInt32) -> Bool) -> TaskLayout? {
        let image = view.bytes(first, count: 8192)
        guard let name = nameOffset(image),
            let tasks = ringOffset(view, first, image, name)
        else { return nil }
        var layout = TaskLayout(name: name, tasks: tasks)
        let known = Array(layout.allTasks(view, first: first).prefix(8))
        layout.pid = layout.pidOffset(view, known)
        layout.findStack(view, known)
        layout.findSavedRegisters(view, known, UInt32(image.count), isText)
        return layout
    }

    private static func nameOffset(_ image: [UInt8]) -> UInt32? {
        for text in ["swapper/0\0", "swapper\0"] {
            if let index = image.firstIndex(of: Array(text.utf8)) { return UInt32(index) }
        }
        return nil
    }

    private static func ringOffset(
        _ view: GuestView, _ first: UInt32, _ image: [UInt8], _ name: UInt32
    ) -> UInt32? {
        var steps = stepLimit
        for offset in stride(from: 0, to: Int(name), by: 4) {
            guard let next: UInt32 = image.littleEndian(at: offset), next & 3 == 0, next > 0x1000,
                next != first &+ UInt32(offset), view.word(next &+ 4) == first &+ UInt32(offset)
            else { continue }
            let layout = TaskLayout(name: name, tasks: UInt32(offset))
            if layout.walk(view, first: first, steps: &steps).count > 1 { return UInt32(offset) }
        }
        return nil
    }

    /// How many records a search may look at: a hostile guest can have many rings, and long ones.
    static let stepLimit = 4 * maximumTasks

    /// The addresses of the tasks in the ring, `first` first; empty when it is no ring of tasks, or has more than
    /// `steps`, which becomes less by what was looked at.
    func walk(_ view: GuestView, first: UInt32, steps: inout Int) -> [UInt32] {
        var list: [UInt32] = []
        var task = first
        repeat {
            guard steps > 0, isNamed(view, task), let next = view.word(task &+ tasks) else { return [] }
            steps -= 1
            list.append(task)
            task = next &- tasks
        } while task != first
        return list
    }

    func allTasks(_ view: GuestView, first: UInt32) -> [UInt32] {
        var steps = Self.maximumTasks
        return walk(view, first: first, steps: &steps)
    }

    func isNamed(_ view: GuestView, _ task: UInt32) -> Bool {
        let bytes = view.bytes(task &+ name, count: Self.nameBytes)
        guard let end = bytes.firstIndex(of: 0), end > 0 else { return false }
        return bytes[..<end].allSatisfy { $0 >= 0x20 && $0 < 0x7F }
    }

    /// pid and tgid, side by side: 0, 0 in the first task, 1, 1 and 2, 2 in the next.
    private func pidOffset(_ view: GuestView, _ known: [UInt32]) -> UInt32? {
        guard known.count >= 3 else { return nil }
        return stride(from: tasks, to: name, by: 4).first { offset in
            known.prefix(3).enumerated().allSatisfy { index, task in
                view.word(task &+ offset) == UInt32(index) && view.word(task &+ offset &+ 4) == UInt32(index)
            }
        }
    }

    /// The only task whose memory is that of the page directory `root`: behind the ring each has a pointer to what
    /// describes its memory, twice if it is a process, and that has the directory's address near its beginning.
    func owner(of root: UInt32, _ view: GuestView, _ tasks: [GuestTask]) -> GuestTask? {
        guard view.cpu.cpl == 3 else { return nil }
        let owners = tasks.filter { task in
            stride(from: self.tasks &+ 8, to: self.tasks &+ 96, by: 4).contains { offset in
                guard let memory = view.word(task.address &+ offset), memory > 0x1000,
                    view.word(task.address &+ offset &+ 4) == memory
                else { return false }
                return stride(from: UInt32(0), to: 256, by: 4).contains { field in
                    guard let directory = view.word(memory &+ field), directory & 31 == 0 else {
                        return false
                    }
                    return view.physical(directory) == UInt64(root & ~31)
                }
            }
        }
        return owners.count == 1 ? owners.first : nil
    }

    /// Near the beginning: an address at a multiple of a stack's size, another for each task.
    private mutating func findStack(_ view: GuestView, _ known: [UInt32]) {
        stack = stride(from: UInt32(0), to: 512, by: 4).first { offset in
            let values = known.compactMap { view.word($0 &+ offset) }
            return values.count == known.count && Set(values).count == values.count
                && values.allSatisfy { value in
                    value & (Self.stackBytes - 1) == 0 && value > 0x1000 && view.word(value) != nil
                        && view.word(value &+ Self.stackBytes - 4) != nil
                }
        }
    }

    /// Behind the name: the top of the stack, then within a few words a pointer into it.
    private mutating func findSavedRegisters(
        _ view: GuestView, _ known: [UInt32], _ size: UInt32, _ isText: (UInt32) -> Bool
    ) {
        // The first task may be the one that runs; what is saved of it is old.
        let others = known.dropFirst()
        guard let stack, others.count >= 2 else { return }
        func isInStack(_ task: UInt32, _ value: UInt32) -> Bool {
            guard let base = view.word(task &+ stack) else { return false }
            return value > base &+ 8 && value <= base &+ Self.stackBytes
        }
        for offset in stride(from: name, to: size - 24, by: 4) {
            func holds(_ at: UInt32) -> Bool {
                others.allSatisfy { task in view.word(task &+ at).map { isInStack(task, $0) } ?? false }
            }
            guard holds(offset) else { continue }
            let words = stride(from: offset &+ 4, through: offset &+ 16, by: 4)
            guard let saved = words.first(where: holds) else { continue }
            stackPointer = saved
            instructionPointer = words.first { at in
                others.allSatisfy { task in view.word(task &+ at).map(isText) ?? false }
            }
            return
        }
    }
}
