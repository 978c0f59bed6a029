// SPDX-License-Identifier: Apache-2.0
//
// What can be observed only before the guest has set itself up: collected at the very start, judged later.
import Machine

enum EarlyFindings {
    nonisolated(unsafe) private(set) static var collected = false
    nonisolated(unsafe) private(set) static var irqEnabled: UInt32 = 0
    nonisolated(unsafe) private(set) static var blocked: UInt32 = 0
    nonisolated(unsafe) private(set) static var freeSlots: UInt32 = 0
    nonisolated(unsafe) private(set) static var seconds: UInt32 = 0
    nonisolated(unsafe) private(set) static var microcodeVersion: UInt64 = 1

    static func collect() {
        irqEnabled = SharedPage.irqEnabled
        blocked = SharedPage.blockedInterrupts
        freeSlots = AsyncRing.size - AsyncRing.waiting
        seconds = SharedPage.time.seconds
        // Linux reads and writes model-specific registers before it has a table of traps. While there is no
        // gate for #GP, our hypervisor lets that pass: reads give 0, writes do nothing.
        instruction_wrmsr(0x8B, 0x1234)
        microcodeVersion = instruction_rdmsr(0x8B)
        collected = true
    }
}
