// SPDX-License-Identifier: Apache-2.0
//
// One virtual machine: builds it from its configuration, runs it until it ends. Everything happens on
// the thread that calls `run`.

import Boot
import Debug
import Devices
import Engine
import GuestInterfaces
import GuestMemory
import Support
import Tap
import Trace
import X86

public final class Machine {
    /// Guest instructions between two looks at clock and devices: some 20 to 200 µs.
    static let slice: UInt64 = 40_000
    /// The same while an interrupt waits for the guest to allow it.
    static let shortSlice: UInt64 = 400
    /// Longest time between two looks at the host's file descriptors, in nanoseconds.
    static let pollInterval: UInt64 = 1_000_000

    public let memory: GuestMemory
    let storage: CPUStorage
    let environment: MachineEnvironment
    let engine: any Engine
    let interface: any GuestInterface
    let eventLoop: EventLoop
    let clock: any HostClock
    let console: VirtioConsole
    let bus: VirtioPCIBus
    let devicePage: DevicePage?
    /// The devices of Linux 2.6.23, in place of all others.
    let dma: LguestDMABus?
    /// The PC around a stock kernel's processor.
    let platform: Platform?
    let devices: MachineDevices
    public let kernel: LoadedKernel
    let kernelName: String
    /// The kernel's file where it may have debug information: one that was not unpacked.
    let debugFile: InputFile?
    /// Where the guest goes when it dies.
    public var coreFile: CoreFile?
    @exclusivity(unchecked) private var stopRequested: MachineOutcome?
    /// Exits of the engine that came to the run loop.
    @exclusivity(unchecked) var exitCounts = ExitCounts()
    let hostTime = HostTime()
    /// Whether samples of the thread's CPU time are taken; `startSampling` has been called on it.
    @exclusivity(unchecked) public var takesSamples = false
    var isStopRequested: Bool { stopRequested != nil }
    /// Whoever holds the guest still: a debugger, the monitor.
    let control = RunControl()
    /// Called when all is ready, right before the guest's first instruction.
    public var onStart: () -> Void = {}
    /// Whether the devices stay open after `run`, for the machine that comes after a restart.
    public var keepsDevices = false
    /// The guest's symbols: from its kernel file, from `symbolFile`, or from its memory.
    public let symbols: GuestSymbols
    let observer: GuestObserver
    @exclusivity(unchecked) private var trace: MachineTrace?
    var isTraced: Bool { trace != nil }
    @exclusivity(unchecked) private var lastPoll: UInt64 = 0
    @exclusivity(unchecked) private var pollInterval = Machine.pollInterval
    public private(set) var startTime: UInt64
    @exclusivity(unchecked) private var sleptNanoseconds: UInt64 = 0

    /// Time since the start in which the guest was not halted.
    var busyNanoseconds: UInt64 { clock.monotonicNanoseconds() &- startTime &- sleptNanoseconds }

    /// Of it, time without CPU time since the run began: the host was busy with others. Never goes back.
    private var stolenNanoseconds: UInt64 {
        let waited = clock.monotonicNanoseconds() &- runStart &- sleptNanoseconds
        let ran = hostTime.threadNanoseconds
        if waited > ran + stolen { stolen = waited - ran }
        return stolen
    }
    private var stolen: UInt64 = 0
    private var runStart: UInt64 = 0

    /// Builds the machine and loads the kernel. `backend` is the far end of the guest's console, which comes
    /// first on the bus, before `devices`.
    public init(
        _ request: BootRequest, memoryBytes: UInt64, clock: any HostClock, eventLoop: EventLoop,
        backend: any ConsoleBackend, devices: MachineDevices = MachineDevices(),
        engine choice: EngineChoice = .translator, symbolFile: SymbolTable? = nil,
        interface interfaceChoice: InterfaceChoice? = nil, waitsForVirtioConsole: Bool = false
    ) throws(LguestError) {
        let suited = interfaceChoice ?? InterfaceChoice(for: request.kernel)
        let isPC = suited != .lguest
        var request = request
        if isPC {
            request.bootProtocol = suited == .pvh ? .pvh : .pc
            request.firmware = Machine.firmware(memoryBytes: memoryBytes)
        }
        self.clock = clock
        self.eventLoop = eventLoop
        startTime = clock.monotonicNanoseconds()
        // A kernel that does not name its version gets its devices in both ways: it looks in one only.
        let isFirst = !isPC && request.kernel.isFirstGeneration
        let hasPCIDevices = isPC ? true : isFirst ? false : request.kernel.linuxVersion?.hasPCIDevices
        let hasDevicePage = hasPCIDevices != true
        do throws(GuestMemoryError) {
            memory = try GuestMemory(
                bytes: memoryBytes, devicePages: hasDevicePage ? DevicePage.pageCount : 0)
            environment = MachineEnvironment(clock: clock, isPC: isPC)
            storage = try CPUStorage(memory: memory, environment: environment)
        } catch {
            throw LguestError(.host, "the host gives no memory for the guest: \(error)")
        }
        environment.cpu = storage.cpu
        if isPC { memory.hole = PCLayout.graphics }
        kernel = try request.load(into: memory)
        kernelName = request.kernel.file.name
        debugFile = request.kernel.container == nil ? request.kernel.file : nil
        engine = try Machine.makeEngine(choice, memory, storage)
        symbols = GuestSymbols(symbolFile ?? kernel.symbols, storage.cpu, clock: clock)
        observer = GuestObserver(storage.cpu, symbols)
        let wires = InterruptWires()
        devicePage =
            hasDevicePage && !isFirst
            ? DevicePage(
                memory: memory, interrupts: wires, base: memory.ramSize,
                format: request.kernel.linuxVersion?.hasDeviceFields == true ? .fields : .fixed) : nil
        dma =
            isFirst
            ? LguestDMABus(memory: memory, interrupts: wires, base: memory.ramSize, eventLoop: eventLoop)
            : nil
        bus = VirtioPCIBus(
            memory: memory, interrupts: wires, ports: environment.ports, mmio: environment.mmio,
            windowBase: memory.ramSize, route: isPC ? { PCIRoute.input(slot: $0) } : nil)
        let tellsSize = request.kernel.linuxVersion?.survivesConsoleChanges != false
        if isPC {
            let pc = Machine.makePC(
                memory, environment, backend, bus, isPVH: suited == .pvh,
                waitsForVirtioConsole: waitsForVirtioConsole)
            interface = pc.interface
            console = VirtioConsole(
                backend: pc.console, eventLoop: eventLoop, tellsWindowSize: tellsSize)
            platform = pc.platform
            environment.identity = pc.interface
            wires.end = pc.platform
        } else {
            let lguest = Machine.makeLguestInterface(kernel, memory, environment, backend, devicePage, dma)
            interface = lguest
            console = VirtioConsole(backend: backend, eventLoop: eventLoop, tellsWindowSize: tellsSize)
            platform = nil
            wires.end = lguest.lines
        }
        engine.edge = interface as? any EdgeHandler
        self.devices = devices
        if hasPCIDevices != false {
            for device in [console] + devices.all { try bus.add(device).onFailure = devices.driverIsBroken }
        }
        if let devicePage { try devices.add(to: devicePage, console: console) }
        if let dma { try devices.add(to: dma, console: backend) }
        environment.stolenTime = { [weak self] in self?.stolenNanoseconds ?? 0 }
        connectTap()
        if !isPC { environment.ports.onReset = { [weak self] in self?.stop(.restart) } }
    }

    public var cpu: CPU { storage.cpu }

    /// Lets the calling thread, which is to run machines, be sampled for `takesSamples`. Throws where the host gives no
    /// timer for that.
    public static func startSampling() throws(LguestError) { try HostTime.startSampling() }

    /// Ends the run from a callback of the event loop.
    public func stop(_ outcome: MachineOutcome) { stopRequested = outcome }

    /// Lets the guest end the run by a write to `StatusPort.number`.
    public func addStatusPort() {
        let port = StatusPort { [weak self] in self?.stop(.guestStatus($0)) }
        environment.ports.claim(ports: StatusPort.number...StatusPort.number, handler: port)
    }

    /// Records the run for `tracing`, from the first instruction on.
    public func record(for tracing: Tracing) { trace = tracing.attach(self) }

    /// Runs the guest from its entry point until it ends.
    public func run() -> MachineOutcome {
        if let dma { dma.start() } else { console.start() }
        defer {
            bus.reset()
            devicePage?.reset()
            dma?.reset()
            if !keepsDevices { devices.close() }
        }
        interface.start(cpu, entryPoint: kernel.entryPoint)
        onStart()
        runStart = clock.monotonicNanoseconds()
        hostTime.begin(cpu, engine, samples: takesSamples)
        defer {
            hostTime.end()
            trace?.finish()
            control.tracing?.finish()
        }
        do throws(GuestDeath) {
            return try loop()
        } catch {
            let report = CrashReport(error, self).text + dumpCore()
            holdForAutopsy(report)
            return .killed(report: report)
        }
    }

    private func loop() throws(GuestDeath) -> MachineOutcome {
        let cpu = cpu
        while true {
            if let stopRequested { return stopRequested }
            let now = clock.monotonicNanoseconds()
            if now &- lastPoll >= pollInterval || eventLoop.waker.isRaised {
                lastPoll = now
                trace?.attend()
                // What brought something will soon bring more, such as the next frame of a download.
                cpu.system.activity = Activity.devices
                pollInterval = poll() ? 0 : min(2 * pollInterval + 50_000, Machine.pollInterval)
            }
            cpu.system.activity = Activity.interface
            environment.timestamp.update(now: now, cpu)
            if !control.isIdle {
                if let outcome = try attendControl(now: now) { return outcome }
                continue
            }
            guard try interface.deliverInterrupts(cpu, now: now) else {
                sleep(now)
                continue
            }
            control.isHalted = false
            // Exits that the interface carries out itself do not end the slice.
            let limit =
                cpu.instructions &+ (interface.hasWaitingInterrupts ? Machine.shortSlice : Machine.slice)
            var exits = 0
            while cpu.instructions < limit && exits < 1000 && stopRequested == nil {
                cpu.system.activity = Activity.engine
                let exit = runEngine(budget: limit &- cpu.instructions)
                cpu.system.activity = Activity.interface
                exits += 1
                if exit == .exception(.debuggerStop) {
                    pointIsMet()
                    break
                }
                exitCounts.note(exit)
                switch try interface.handle(exit, cpu) {
                case .run: break
                case .halt:
                    exits = 1000
                    control.isHalted = true
                case .end(.powerOff): return .powerOff
                case .end(.restart): return .restart
                }
                // An exit may have allowed an interrupt that waits; it comes before the next instruction.
                if exit == .budget || interface.hasWaitingInterrupts { break }
            }
        }
    }

    /// The guest is halted: the process sleeps until a timer or a device wakes it.
    func sleep(_ now: UInt64) {
        let due = interface.nextTimer
        trace?.attend()
        let mark = storage.tap.begin(.halted)
        storage.tap.isHostSide = true
        cpu.system.activity = Activity.devices
        wait(now, nanoseconds: due.map { $0 > now ? $0 - now : 0 })
        storage.tap.isHostSide = false
        storage.tap.end(mark)
    }

    /// Somebody holds the guest: the process sleeps until that may have changed.
    func standStill(_ now: UInt64) {
        trace?.attend()
        wait(now, nanoseconds: nil)
    }

    private func wait(_ now: UInt64, nanoseconds: UInt64?) {
        eventLoop.wait(timeoutNanoseconds: nanoseconds)
        lastPoll = clock.monotonicNanoseconds()
        sleptNanoseconds &+= lastPoll &- now
    }
}
