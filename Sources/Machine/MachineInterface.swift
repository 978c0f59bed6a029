// SPDX-License-Identifier: Apache-2.0
//
// The guest interface that a machine gets. From here on only the interface itself knows which one it is.

import Boot
import Devices
import GuestInterfaces
import GuestMemory
import Support

/// The interfaces that a guest kernel may be run on.
public enum InterfaceChoice: String, CaseIterable, Sendable {
    /// A kernel that knows it is an lguest guest.
    case lguest
    /// Any kernel, on a PC.
    case bare
    /// A kernel that is entered by the PVH protocol, on the same PC.
    case pvh

    /// What suits the kernel. Linux is entered by its own boot protocol, which tells it more.
    public init(for kernel: KernelImage) {
        if kernel.linuxVersion == nil, kernel.lguestSupport == .unknown || kernel.lguestSupport == .none,
            kernel.pvhEntry != nil
        {
            self = .pvh
        } else {
            self = kernel.suitsLguest ? .lguest : .bare
        }
    }
}

extension Machine {
    /// What the firmware of a PC with so much memory says about it.
    static func firmware(memoryBytes: UInt64) -> [(address: UInt32, bytes: [UInt8])] {
        ACPIPlatform(
            pciWindow: UInt32(memoryBytes)...UInt32(IOAPIC.base - 1),
            pciInputs: (1..<PCIHost.slotCount).map { PCIRoute.input(slot: $0) },
            localAPIC: UInt32(LocalAPIC.base), ioAPIC: UInt32(IOAPIC.base), powerPort: PowerManagement.port,
            powerInterrupt: PowerManagement.irq, offType: PowerManagement.offType,
            resetValue: PowerManagement.resetValue, serialPort: SerialPort.port,
            serialInterrupt: SerialPort.irq
        ).tables()
    }

    /// A PC for a stock kernel: its parts, its interface, and the console that serial port and virtio share.
    static func makePC(
        _ memory: GuestMemory, _ environment: MachineEnvironment, _ backend: any ConsoleBackend,
        _ bus: VirtioPCIBus, isPVH: Bool, waitsForVirtioConsole: Bool
    ) -> (platform: Platform, interface: BareInterface, console: ConsoleSwitch) {
        let console = ConsoleSwitch(backend, waitsForVirtio: waitsForVirtioConsole)
        let platform = Platform(hostClock: environment.clock, start: environment.timestamp.start) {
            [console] in
            console.serialWrite($0)
        }
        console.serialInput = { [weak platform] in platform?.serial.receive($0) }
        platform.serial.pauseInput = { [weak console] pauses in
            if pauses { console?.pauseInput() } else { console?.resumeInput() }
        }
        platform.attach(to: environment.ports, environment.mmio)
        bus.host.writeResetControl = { [weak platform] in platform?.power.writeResetControl($0) }
        var services = BareServices(
            memory: memory, platform: platform, clock: environment.clock,
            timestamp: { [weak environment] in environment?.timestampCounter() ?? 0 },
            start: isPVH ? .pvh(PCLayout.startInfo) : .linux(PCLayout.parameters), bootGDT: PCLayout.gdt)
        services.stolenTime = { [weak environment] in environment?.stolenTime() ?? 0 }
        return (platform, BareInterface(services), console)
    }

    static func makeLguestInterface(
        _ kernel: LoadedKernel, _ memory: GuestMemory, _ environment: MachineEnvironment,
        _ backend: any ConsoleBackend, _ devicePage: DevicePage?, _ dma: LguestDMABus?
    ) -> LguestInterface {
        var services = LguestServices(
            memory: memory, ports: environment.ports, clock: environment.clock, tscKHz: environment.tscKHz,
            earlyConsole: { [backend] in backend.write($0) },
            hostTablesEnd: kernel.hostTablesEnd(memoryBytes: memory.ramSize),
            kernelLooksPAE: kernel.pae?.usesPAE == true)
        services.devicePage = devicePage
        services.dma = dma
        if case .signature(let entry, let pageOffset) = kernel.lguestSupport {
            services.signature = SignatureEntry(entry: entry, pageOffset: pageOffset)
        }
        return LguestInterface(services)
    }
}
