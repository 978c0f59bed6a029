// SPDX-License-Identifier: Apache-2.0
//
// Guests of a few instructions on the bare interface: a PC without loader or PCI, with descriptor tables that a
// test fills.

import Devices
import Engine
import GuestInterfaces
import GuestMemory
import Support
import X86

final class PCEnvironment: CPUEnvironment {
    let ports = PortBus(hasStuckKeyboard: false)
    let mmio = MMIOBus()
    let clock: any HostClock
    weak var identity: (any ProcessorIdentity)?

    init(clock: any HostClock) { self.clock = clock }

    func mmioRead(_ address: UInt64, width: Int) -> UInt64 { mmio.read(address: address, width: width) }
    func mmioWrite(_ address: UInt64, width: Int, value: UInt64) {
        mmio.write(address: address, width: width, value: value)
    }
    func portRead(_ port: UInt16, width: Int) -> UInt32 { ports.read(port: port, width: width) }
    func portWrite(_ port: UInt16, width: Int, value: UInt32) {
        ports.write(port: port, width: width, value: value)
    }
    func timestampCounter() -> UInt64 { clock.monotonicNanoseconds() }
    func cpuid(leaf: UInt32, subleaf: UInt32) -> CPUIDResult {
        identity?.cpuid(leaf: leaf, subleaf: subleaf) ?? CPUIDResult()
    }
    func readMSR(_ index: UInt32) -> UInt64? { identity?.readMSR(index) }
    func writeMSR(_ index: UInt32, _ value: UInt64) -> Bool { identity?.writeMSR(index, value) ?? false }
}

final class PCGuest {
    static let entry: UInt32 = 0x10_0000
    static let gdt: UInt32 = 0x5000
    static let idt: UInt32 = 0x6000
    static let tss: UInt32 = 0x7000
    /// Where guests leave what they have found.
    static let result: UInt32 = 0x8000
    static let kernelStack: UInt32 = 0x9000
    static let userStack: UInt32 = 0xA000
    static let kernelCode: UInt16 = 0x10, kernelData: UInt16 = 0x18
    static let userCode: UInt16 = 0x23, userData: UInt16 = 0x2B, task: UInt16 = 0x30

    let memory: GuestMemory
    let storage: CPUStorage
    let environment: PCEnvironment
    let platform: Platform
    let interface: BareInterface
    let engine: any Engine
    let clock = ManualClock(monotonicNanoseconds: 0, realtimeSeconds: 1_000_000)
    var cpu: CPU { storage.cpu }
    /// Time that the host has not given to the guest.
    var stolen: UInt64 {
        get { stealing.nanoseconds }
        set { stealing.nanoseconds = newValue }
    }
    private let stealing = Stealing()
    private final class Stealing { var nanoseconds: UInt64 = 0 }

    /// `code` runs behind the loading of GDT, IDT and task register.
    init(_ code: [UInt8], translates: Bool, start: StartProtocol = .linux(0x1_0000)) throws {
        memory = try GuestMemory(bytes: 16 << 20)
        environment = PCEnvironment(clock: clock)
        storage = try CPUStorage(memory: memory, environment: environment)
        engine =
            translates ? try Translator(memory: memory, storage: storage) : Interpreter(memory: memory)
        platform = Platform(hostClock: clock, start: 0) { _ in }
        platform.attach(to: environment.ports, environment.mmio)
        let clock = clock
        var services = BareServices(
            memory: memory, platform: platform, clock: clock,
            timestamp: { clock.monotonicNanoseconds() }, start: start,
            bootGDT: PCGuest.gdt..<PCGuest.gdt + 0x20)
        let stealing = stealing
        services.stolenTime = { stealing.nanoseconds }
        interface = BareInterface(services)
        environment.identity = interface
        let flat: [UInt64] = [
            0, 0, 0x00CF_9B00_0000_FFFF, 0x00CF_9300_0000_FFFF, 0x00CF_FB00_0000_FFFF, 0x00CF_F300_0000_FFFF,
            PCGuest.taskDescriptor(PCGuest.tss),
        ]
        for (index, bits) in flat.enumerated() { try setDescriptor(index, bits) }
        try memory.write(UInt16(0x7F), at: 0x4FF0)
        try memory.write(PCGuest.gdt, at: 0x4FF2)
        try memory.write(UInt16(0x7FF), at: 0x4FF8)
        try memory.write(PCGuest.idt, at: 0x4FFA)
        try memory.write(PCGuest.kernelStack, at: UInt64(PCGuest.tss) + 4)
        try memory.write(UInt32(PCGuest.kernelData), at: UInt64(PCGuest.tss) + 8)
        let prologue: [UInt8] =
            [0x0F, 0x01, 0x15, 0xF0, 0x4F, 0, 0] + [0x0F, 0x01, 0x1D, 0xF8, 0x4F, 0, 0]
            + [0xBC, 0x00, 0x8F, 0, 0] + [0x66, 0xB8, 0x30, 0] + [0x0F, 0x00, 0xD8]
        try memory.writeBytes(prologue + code, at: UInt64(PCGuest.entry))
        interface.start(cpu, entryPoint: PCGuest.entry)
    }

    static func taskDescriptor(_ base: UInt32) -> UInt64 {
        0x0000_8900_0000_0067 | UInt64(base & 0xFF_FFFF) << 16 | UInt64(base >> 24) << 56
    }

    func setDescriptor(_ index: Int, _ bits: UInt64) throws {
        try memory.write(bits, at: UInt64(PCGuest.gdt) + UInt64(index) * 8)
    }

    /// An interrupt gate to `code`, which is put at a place of its own.
    func setHandler(_ vector: Int, _ code: [UInt8], privilege: UInt64 = 0) throws {
        let address = UInt64(0x11_0000 + vector * 0x100)
        try memory.writeBytes(code, at: address)
        let upper = address & 0xFFFF_0000 | 0x8E00 | privilege << 13
        let gate = address & 0xFFFF | UInt64(PCGuest.kernelCode) << 16 | upper << 32
        try memory.write(gate, at: UInt64(PCGuest.idt) + UInt64(vector) * 8)
    }

    func setTaskGate(_ vector: Int, selector: UInt16) throws {
        try memory.write(
            UInt64(selector) << 16 | 0x8500 << 32 as UInt64, at: UInt64(PCGuest.idt) + UInt64(vector) * 8)
    }

    /// Sets the 8259s up as a kernel does: vectors 0x30 and 0x38, nothing masked.
    func setUpInterrupts() {
        for (port, value) in [
            (0x20, 0x11), (0x21, 0x30), (0x21, 0x04), (0x21, 0x01), (0xA0, 0x11), (0xA1, 0x38), (0xA1, 0x02),
            (0xA1, 0x01), (0x21, 0x00), (0xA1, 0x00),
        ] { environment.ports.write(port: UInt16(port), width: 1, value: UInt32(value)) }
    }

    /// Runs until the guest ends; nil when it does not within 10,000 rounds.
    func run() throws(GuestDeath) -> GuestEnd? {
        for _ in 0..<10_000 {
            guard try interface.deliverInterrupts(cpu, now: clock.monotonicNanoseconds()) else {
                guard let next = interface.nextTimer else { return nil }
                clock.advance(nanoseconds: max(1, next - clock.monotonicNanoseconds()))
                continue
            }
            if case .end(let end) = try interface.handle(engine.run(cpu, budget: 1000), cpu) { return end }
        }
        return nil
    }

    func word(_ index: UInt32) throws -> UInt32 { try memory.read(UInt64(PCGuest.result + 4 * index)) }

    /// CLI; HLT: the end.
    static let end: [UInt8] = [0xFA, 0xF4]
    /// MOV SS:[result + 4 * index], EAX.
    static func storeBySS(_ index: UInt8) -> [UInt8] { [0x36] + store(index) }
    /// The same through DS, which a return to ring 3 has made null.
    static func store(_ index: UInt8) -> [UInt8] { [0xA3, 4 * index, 0x80, 0, 0] }
}
