// SPDX-License-Identifier: Apache-2.0
//
// The guest from its first Swift line to its last. Start.S has announced the shared page and a first page
// table; from here on the order is that of any kernel: a way to print, segments, traps, memory, devices, the
// clock. Then the command line decides what this boot is for.
import Machine

@c(guest_main)
public func guestMain() -> Never {
    EarlyConsole.find()
    let commandLine = BootParameters.commandLine
    let words = CommandLine(commandLine)
    if words.conformance { EarlyFindings.collect() }

    GDT.load()
    Traps.install()
    PageFrames.start()
    KernelMap.build()

    let memory = UInt32(truncatingIfNeeded: BootParameters.memorySize >> 20)
    say("lguest builtin guest 1.0: \(memory) MiB, \(PagingMode.current.name)")
    Console.switchTo(driver: VirtioConsole.start())
    Timer.start()
    Interrupts.enable()

    if words.conformance {
        Conformance.run()
    } else if words.demo {
        Demo.run()
    } else if let commands = words.commands {
        Shell.run(commands)
    } else {
        Shell.interact()
    }
    Hypervisor.powerOff()
}

/// What the kernel command line asks for.
struct CommandLine {
    var conformance = false
    var demo = false
    /// What follows `run=`, to the end of the line, blanks included: commands separated by semicolons.
    var commands: Text?

    init(_ line: Text) {
        var start = 0
        while start < line.count {
            let end = line.firstIndex(of: 0x20, from: start) ?? line.count
            let word = line.part(from: start, to: end)
            if word.hasPrefix("run=") {
                commands = line.part(from: start + 4, to: line.count)
                return
            }
            if word == "conformance" { conformance = true }
            if word == "demo" { demo = true }
            start = end + 1
        }
    }
}
