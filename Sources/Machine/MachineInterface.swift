// SPDX-License-Identifier: Apache-2.0
//
// The guest interface that a machine gets. From here on only the interface itself knows which one it is.

import Boot
import Devices
import GuestInterfaces
import GuestMemory
import Support

extension Machine {
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
