// SPDX-License-Identifier: Apache-2.0
//
// The console of Linux 2.6.23: what it sends to key 0 is printed, what is typed goes into its one list there.

/// A console on the DMA bus.
final class DMAConsole {
    private static let key: UInt32 = 0
    /// Between two looks at a list that the guest has not emptied yet.
    private static let retryNanoseconds: UInt64 = 10_000_000
    private static let inputLimit = 65536

    private let backend: any ConsoleBackend
    private unowned let bus: LguestDMABus
    /// Typed, and not yet taken by the guest.
    private var input: [UInt8] = []
    private var isStarted = false
    private var timerIsSet = false

    init(_ backend: any ConsoleBackend, _ bus: LguestDMABus) {
        self.backend = backend
        self.bus = bus
    }

    private func deliver() {
        guard isStarted, !input.isEmpty else { return }
        if let list = bus.freeList(Self.key), list.count > 0 {
            let part = input.prefix(list.count)
            list.announceWrite(bus.memory)
            list.buffers(bus.memory).store(part)
            list.setUsed(part.count, bus.memory)
            input.removeFirst(part.count)
            bus.raise(Self.key)
            if input.count < Self.inputLimit { backend.resumeInput() }
        }
        guard !input.isEmpty, !timerIsSet else { return }
        timerIsSet = true
        bus.eventLoop.schedule(afterNanoseconds: Self.retryNanoseconds) { [weak self] in
            self?.timerIsSet = false
            self?.deliver()
        }
    }
}

extension DMAConsole: DMADevice {
    func listens(to key: UInt32) -> Bool { key == Self.key }

    func received(_ list: DMAList) -> Int {
        backend.write(list.buffers(bus.memory).bytes)
        return list.count
    }

    func start() {
        if !isStarted {
            isStarted = true
            backend.start(client: self)
        }
        deliver()
    }

    func stop() {
        if isStarted { backend.stop() }
        isStarted = false
        input = []
    }
}

extension DMAConsole: ConsoleClient {
    func consoleInput(_ bytes: [UInt8]) {
        input += bytes
        if input.count >= Self.inputLimit { backend.pauseInput() }
        deliver()
    }

    /// This kernel's console has no size.
    func consoleWindowChanged() {}
}
