// SPDX-License-Identifier: Apache-2.0
//
// `rng` and `balloon`: two devices that need hardly any driver.
import Machine

enum SmallDevices {
    /// Asks for random bytes and says how they look.
    static func random(_ line: Text) {
        let way = DeviceWay(line.isEmpty ? nil : line)
        guard let link = DeviceLink.find(.random, number: 0, way), link.negotiate(0) != nil else {
            say("RNG \(way.name) none")
            return
        }
        var ring = link.makeRing(0)
        DeviceInterrupts.use(ring)
        link.start()
        let page = PageFrames.allocate()
        ring.describe(0, page, 1024, flags: Ring.deviceWrites)
        ring.offer(0)
        link.kick(ring)
        guard DeviceInterrupts.wait(microseconds: 10_000_000, until: { ring.hasUsed }), let done = ring.take()
        else {
            say("RNG \(way.name) does not answer")
            return
        }
        link.acknowledge()
        var ones: UInt32 = 0
        for word in 0..<UInt32(256) { ones += UInt32(Memory.read32(page + word * 4).nonzeroBitCount) }
        say("RNG \(way.name) bytes \(done.bytes) ones \(ones) of 8192 first \(hex: Memory.read32(page))")
        link.reset()
        PageFrames.free(page)
    }

    /// Lends as many pages as the host asks for, then takes one list of them back.
    static func balloon(_ line: Text) {
        let way = DeviceWay(line.isEmpty ? nil : line)
        guard let link = DeviceLink.find(.balloon, number: 0, way), link.negotiate(0) != nil else {
            say("BALLOON \(way.name) none")
            return
        }
        var inflate = link.makeRing(0)
        let deflate = link.makeRing(1)
        DeviceInterrupts.use(inflate)
        DeviceInterrupts.use(deflate)
        link.start()
        let wanted = link.configuration32(0)
        let list = PageFrames.allocate()
        var lent: UInt32 = 0
        var last = PhysicalAddress(value: 0)
        while lent < wanted, PageFrames.available > 64 {
            let count = min(1024, wanted - lent)
            for index in 0..<count {
                last = PageFrames.allocate()
                Memory.write32(last, 0x5A5A_5A5A)
                Memory.write32(list + index * 4, last.value >> 12)
            }
            inflate.describe(0, list, count * 4, flags: 0)
            inflate.offer(0)
            link.kick(inflate)
            guard DeviceInterrupts.wait(microseconds: 10_000_000, until: { inflate.hasUsed }),
                inflate.take() != nil
            else {
                say("BALLOON \(way.name) does not answer")
                return
            }
            link.acknowledge()
            lent += count
        }
        link.writeConfiguration32(4, lent)
        let seen = link.configuration32(4)
        say("BALLOON \(way.name) wanted \(wanted) lent \(lent) seen \(seen) then \(hex: Memory.read32(last))")
    }
}
