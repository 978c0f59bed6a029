// SPDX-License-Identifier: Apache-2.0
//
// `disk hostile`: a driver that breaks each rule of a virtqueue by itself. After each crime the device must say
// that it stands still, and a reset must bring it back.
import Machine

enum HostileDriver {
    private static let crimes: UInt32 = 10

    private static func name(_ crime: UInt32) -> StaticString {
        switch crime {
        case 0: "circle"
        case 1: "outside-memory"
        case 2: "across-the-end"
        case 3: "no-such-head"
        case 4: "no-such-next"
        case 5: "index-jumps"
        case 6: "readable-after-writable"
        case 7: "nested-indirect"
        case 8: "no-room-for-status"
        default: "empty-buffers"
        }
    }

    static func run(_ link: DeviceLink) {
        let buffer = PageFrames.allocate()
        for crime in 0..<crimes {
            guard link.negotiate(1 << 28) != nil else {
                say("HOSTILE \(name(crime)) no-agreement")
                continue
            }
            var ring = link.makeRing(0)
            link.start()
            commit(crime, &ring, buffer)
            link.kick(ring)
            let verdict: StaticString = link.isBroken ? "broken" : "unnoticed"
            say("HOSTILE \(name(crime)) \(verdict)")
        }
        link.reset()
        let state: StaticString = link.isBroken ? "broken" : "well"
        say("HOSTILE reset \(state)")
    }

    private static func commit(_ crime: UInt32, _ ring: inout Ring, _ buffer: PhysicalAddress) {
        let nowhere = PhysicalAddress(value: 0xFFFF_F000)
        let end = PhysicalAddress(value: UInt32(truncatingIfNeeded: BootParameters.memorySize) + 256 * 4096)
        switch crime {
        case 0: ring.describe(0, buffer, 16, flags: Ring.next, next: 0)
        case 1: ring.describe(0, nowhere, 0x2000, flags: 0)
        case 2: ring.describe(0, PhysicalAddress(value: end.value - 8), 4096, flags: Ring.deviceWrites)
        case 3:
            ring.offer(ring.size)
            return
        case 4: ring.describe(0, buffer, 16, flags: Ring.next, next: 0xFFFF)
        case 5:
            ring.setOfferedIndex(0x8000)
            return
        case 6:
            ring.describe(0, buffer, 16, flags: Ring.next | Ring.deviceWrites, next: 1)
            ring.describe(1, buffer, 16, flags: 0)
        case 7:
            // The table's only entry claims to be a table.
            Memory.write32(buffer, buffer.value)
            Memory.write32(buffer + 4, 0)
            Memory.write32(buffer + 8, 16)
            Memory.write32(buffer + 12, UInt32(Ring.indirect))
            ring.describe(0, buffer, 16, flags: Ring.indirect)
        case 8: ring.describe(0, buffer, 16, flags: 0)
        default:
            ring.describe(0, buffer, 0, flags: Ring.next, next: 1)
            ring.describe(1, buffer, 0, flags: Ring.deviceWrites)
        }
        ring.offer(0)
    }
}
