// SPDX-License-Identifier: Apache-2.0
//
// The lguest device page as guests from 2.6.24 to 3.19 read it (lguest ABI 8).

import GuestMemory
import Support
import Testing

@testable import Devices

@Suite("Device page")
struct DevicePageTests {
    private let memory: GuestMemory
    private let interrupts = RecordingInterrupts()
    private let page: DevicePage
    private let probe = ProbeDevice()
    private let console = VirtioConsole(backend: BufferBackend())

    init() throws {
        memory = try GuestMemory(bytes: 1 << 20, devicePages: DevicePage.pageCount)
        page = DevicePage(memory: memory, interrupts: interrupts, base: memory.ramSize)
        try page.add(probe)
        try page.add(console)
    }

    @Test("descriptors lie one behind the other, as the guest expects them")
    func layout() throws {
        let bytes = try memory.readBytes(1 << 20, count: 80)
        // Type 4, one queue, 4 bytes of features, no configuration, status 0; 8 entries, IRQ 1, page 0x101.
        #expect(Array(bytes[0..<13]) == [4, 1, 4, 0, 0, 8, 0, 1, 0, 1, 1, 0, 0])
        #expect(bytes.littleEndian(at: 13, width: 4) == 1 << 28 | 1 << 29)
        #expect(bytes.littleEndian(at: 17, width: 4) == 0)
        #expect(Array(bytes[21..<26]) == [3, 2, 4, 12, 0])
        // Queues of 256 entries take three pages, those of 8 two.
        #expect(Array(bytes[26..<34]) == [0, 1, 2, 0, 3, 1, 0, 0])
        #expect(Array(bytes[34..<42]) == [0, 1, 3, 0, 6, 1, 0, 0])
        #expect(bytes[62..<80].allSatisfy { $0 == 0 }, "type 0 ends the list")
    }

    @Test("the first kick starts a device, in any status; a reset clears the rings")
    func start() throws {
        let base = memory.ramSize
        #expect(page.notify(base + 0x1000) == .device)
        #expect(probe.activations == 1)
        #expect(probe.notified == [0])
        try memory.write(UInt64.max, at: base + 0x1000)
        try memory.write(UInt32.max, at: base + 17)
        try memory.write(UInt8(0), at: base + 4)
        #expect(page.notify(base) == .device)
        #expect(probe.resets == 1)
        #expect(try memory.read(base + 0x1000, as: UInt64.self) == 0)
        #expect(try memory.read(base + 17, as: UInt32.self) == 0, "accepted features")
    }

    @Test("kernels that announce every status, and those that announce only resets")
    func statusStyles() throws {
        let base = memory.ramSize
        func announce(_ status: UInt8) throws {
            try memory.write(status, at: base + 4)
            _ = page.notify(base)
        }
        for status in [0, 1, 3, 7] as [UInt8] { try announce(status) }
        #expect(probe.activations == 1)
        #expect(probe.resets == 1)
        try announce(0)
        // 2.6.25: it works without a word, then wants a reset and says nothing else.
        try memory.write(UInt8(7), at: base + 4)
        _ = page.notify(base + 0x1000)
        #expect(probe.activations == 2)
        _ = page.notify(base)
        #expect(probe.resets == 3)
        #expect(try memory.read(base + 4, as: UInt8.self) == 0)
    }

    @Test("other addresses are not for devices")
    func others() {
        for address in [0, 0x1000, memory.ramSize - 1, memory.ramSize + 21 + 1, memory.size, .max] {
            #expect(page.notify(address) == .other)
        }
        #expect(page.notify(memory.ramSize + 21) == .device)
    }

    @Test("a full page is refused with a reason, and nothing is written behind it")
    func full() throws {
        var added = 0
        let error = #expect(throws: LguestError.self) {
            while added < 1000 {
                try page.add(VirtioEntropy(source: FakeRandom()))
                added += 1
            }
        }
        #expect(error?.code == .badInput)
        #expect(added > 30)
    }
}
