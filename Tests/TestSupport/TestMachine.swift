// SPDX-License-Identifier: Apache-2.0
//
// A machine for tests: the console is a buffer, and a guest that never ends is stopped.

import Foundation
import LguestKit

public final class TestMachine {
    public let machine: Machine
    public let console: BufferBackend
    public let eventLoop: EventLoop

    public init(
        kernel: String, initrd: [UInt8]? = nil, memory: UInt64 = 64, commandLine: String = "",
        engine: EngineChoice = .translator, limitSeconds: UInt64 = 60,
        devices: (inout MachineConfiguration) throws -> Void = { _ in }
    ) throws {
        let clock = SystemClock()
        eventLoop = try EventLoop(clock: clock)
        console = BufferBackend()
        let request = BootRequest(
            kernel: try KernelImage(path: kernel),
            initrd: initrd.map { InputFile(name: "initramfs", bytes: $0) }, commandLine: commandLine)
        var configuration = MachineConfiguration(memoryBytes: memory << 20, kernelPath: kernel)
        try devices(&configuration)
        machine = try Machine(
            request, memoryBytes: memory << 20, clock: clock, eventLoop: eventLoop, backend: console,
            devices: try MachineDevices(configuration, eventLoop: eventLoop) { print($0) }, engine: engine,
            interface: configuration.interface)
        let machine = machine
        eventLoop.schedule(afterNanoseconds: limitSeconds * 1_000_000_000) {
            machine.stop(.killed(report: "the test's time is up"))
        }
    }

    public func run() -> MachineOutcome { machine.run() }

    /// The console's output with line ends as "\n".
    public var text: String { console.text.replacingOccurrences(of: "\r\n", with: "\n") }

    /// Types `input` when `prompt` has appeared at the end of the output, one after the other.
    public func script(_ steps: [(prompt: String, input: String)]) {
        var rest = steps[...]
        var seen = ""
        let console = console
        console.onOutput = { bytes in
            seen += String(decoding: bytes, as: UTF8.self)
            // busybox's shell asks the terminal for the cursor's place behind its prompt.
            let shown = seen.hasSuffix("\u{1B}[6n") ? seen.dropLast(4) : seen[...]
            guard let step = rest.first, shown.hasSuffix(step.prompt) else { return }
            rest = rest.dropFirst()
            seen = ""
            console.type(step.input)
        }
    }
}

public enum BuiltinGuestFile {
    /// The built-in guest that `make guest` built.
    public static let path: String = {
        let environment = ProcessInfo.processInfo.environment
        return environment["LGUEST_BUILTIN_GUEST"] ?? "Guests/build/guest.elf"
    }()
    public static var exists: Bool { FileManager.default.isReadableFile(atPath: path) }
}
