// SPDX-License-Identifier: Apache-2.0
//
// The list of commands. `help` prints it, so a new one needs a case, a name, a summary and a line in `run`.

enum Command: Int {
    case help, mem, traps, timer, pagefault, hypercalls, async, user, pci, time, cpuid, bench, echo, spin,
        sleep,
        conformance, disk, net, rng, balloon, crash, panic, reboot, halt

    static let count = 24

    var name: StaticString {
        switch self {
        case .help: "help"
        case .mem: "mem"
        case .traps: "traps"
        case .timer: "timer"
        case .pagefault: "pagefault"
        case .hypercalls: "hypercalls"
        case .async: "async"
        case .user: "user"
        case .pci: "pci"
        case .time: "time"
        case .cpuid: "cpuid"
        case .bench: "bench"
        case .echo: "echo"
        case .spin: "spin"
        case .sleep: "sleep"
        case .conformance: "conformance"
        case .disk: "disk"
        case .net: "net"
        case .rng: "rng"
        case .balloon: "balloon"
        case .crash: "crash"
        case .panic: "panic"
        case .reboot: "reboot"
        case .halt: "halt"
        }
    }

    var summary: StaticString {
        switch self {
        case .help: "this list"
        case .mem: "memory: how much, what is where, how many pages are left"
        case .traps: "provoke three traps and look at them, then count all so far"
        case .timer: "[MS] arm the clock and see how late the interrupt comes"
        case .pagefault: "touch memory that is not there, and memory that is read-only"
        case .hypercalls: "what was asked of the hypervisor so far"
        case .async: "queue hypercalls in the ring, and what that saves"
        case .user: "run programs in ring 3"
        case .pci: "the devices"
        case .time: "wall clock and time stamp counter"
        case .cpuid: "what the processor says of itself"
        case .bench: "[SECONDS] how fast things go"
        case .echo: "TEXT: print it"
        case .spin: "SECONDS: stay busy"
        case .sleep: "SECONDS: wait with HALT and the clock"
        case .conformance: "check the hypervisor against the ABI"
        case .disk:
            "ACTION pci|page NUMBER: info, sum, check SEED ROUNDS, bench MS, errors, fill, hostile, journal"
        case .net: "serve|dhcp|bench pci|page ...: the network card"
        case .rng: "pci|page: the random number generator"
        case .balloon: "pci|page: lend memory to the host"
        case .crash: "ud|hypercall|jump|triple|stack|init|idt|gdt|address: go wrong on purpose"
        case .panic: "TEXT: give up with this message"
        case .reboot: "start again"
        case .halt: "switch off"
        }
    }

    func run(_ arguments: Text) {
        switch self {
        case .help: Command.printHelp()
        case .mem: MachineCommands.memory()
        case .pci: MachineCommands.devices()
        case .cpuid: MachineCommands.processor()
        case .traps: TrapCommands.traps()
        case .pagefault: TrapCommands.pageFaults()
        case .user: TrapCommands.user()
        case .hypercalls: CallCommands.counts()
        case .async: CallCommands.asynchronous()
        case .timer: ClockCommands.timer(milliseconds: arguments.number)
        case .time: ClockCommands.time()
        case .spin: ClockCommands.spin(seconds: arguments.number ?? 1)
        case .sleep: ClockCommands.sleep(seconds: arguments.number ?? 1)
        case .bench: Bench.run(seconds: arguments.number ?? 1)
        case .echo: say(arguments)
        case .conformance: Conformance.run()
        case .disk: DiskCommands.run(arguments)
        case .net: NetCommands.run(arguments)
        case .rng: SmallDevices.random(arguments)
        case .balloon: SmallDevices.balloon(arguments)
        case .crash: Crash.run(arguments)
        case .panic: Hypervisor.shutdown(arguments.isEmpty ? "panic" : arguments, .powerOff)
        case .reboot: Hypervisor.shutdown("Restarting", .restart)
        case .halt: Hypervisor.powerOff()
        }
    }

    private static func printHelp() {
        for number in 0..<count {
            if let command = Command(rawValue: number) {
                say("  \(command.name, width: 12) \(command.summary)")
            }
        }
    }
}
