// SPDX-License-Identifier: Apache-2.0
//
// The terminal that a PC's serial port and virtio console share.

import Testing

@testable import Devices

private final class Client: ConsoleClient {
    var input: [UInt8] = []
    func consoleInput(_ bytes: [UInt8]) { input += bytes }
    func consoleWindowChanged() {}
}

@Suite("A terminal for two consoles")
struct ConsoleSwitchTests {
    @Test("what is typed goes to the console that the guest uses")
    func follows() {
        let (backend, client) = (BufferBackend(), Client())
        let both = ConsoleSwitch(backend)
        var serial: [UInt8] = []
        both.serialInput = { serial += $0 }
        both.start(client: client)
        both.serialWrite([65])
        backend.type("1")
        both.write([66])
        backend.type("2")
        both.serialWrite([67])
        #expect(serial == Array("1".utf8) && client.input == Array("2".utf8))
        #expect(backend.text == "ABC")
    }

    @Test("what is typed too early waits for the virtio console, up to a limit")
    func waits() {
        let (backend, client) = (BufferBackend(), Client())
        let both = ConsoleSwitch(backend, waitsForVirtio: true)
        both.serialInput = { _ in Issue.record("nothing is for the serial port") }
        both.start(client: client)
        backend.type("early")
        backend.type([UInt8](repeating: 0x2E, count: 10_000))
        #expect(client.input.isEmpty)
        both.write([66])
        #expect(client.input.starts(with: Array("early...".utf8)) && client.input.count == 4096)
        backend.type("!")
        #expect(client.input.last == 0x21)
    }
}
