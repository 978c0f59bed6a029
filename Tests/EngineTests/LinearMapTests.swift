// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import Testing

@testable import X86

@Suite("The kernel's linear map")
struct LinearMapTests {
    @Test("shows by global pages in a row, but only where large pages could be")
    func globalPages() throws {
        let memory = try GuestMemory(bytes: 16 << 20)
        let storage = try CPUStorage(memory: memory, environment: EmptyEnvironment())
        let tables = storage.tables
        func fill(_ first: UInt32, frame: UInt32) {
            for n in 0..<UInt32(64) {
                let host = UInt(bitPattern: memory.base) + UInt(frame + n) << 12
                tables.fill(
                    page: first + n, host: host, user: false, write: true, execute: false, global: true)
            }
        }
        // A file in memory, mapped in a row.
        fill(0xD_0123, frame: 0x200)
        #expect(tables.linearMap.first == tables.linearMap.end)
        fill(0xC_0100, frame: 0x100)
        #expect(tables.linearMap.origin == 0xC_0000)
        #expect(tables.linearMap.end == 0xC_1000)
        fill(0xD_0323, frame: 0x300)
        #expect(tables.linearMap.origin == 0xC_0000)
    }
}
