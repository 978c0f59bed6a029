// SPDX-License-Identifier: Apache-2.0
//
// The console as a virtio device: negotiation, queue registers, interrupts, reset. The device under test is
// the one that prints the verdicts, so they go through the emergency register meanwhile, and the driver
// starts again at the end.

enum VirtioChecks {
    static func run() {
        guard let device = VirtioConsole.device else {
            Check.that("virtio/console-found", false)
            return
        }
        Check.equal("virtio/running", UInt32(device.status), 0xF)
        completion(device)

        Console.switchTo(driver: false)
        VirtioConsole.stop()
        Check.pass("virtio/emergency-write-through-the-window")
        emergency(device)
        reset(device)
        features(device)
        queues(device)
        let started = VirtioConsole.restart()
        Check.that("virtio/starts-again", started)
        Console.switchTo(driver: started)
        Check.equal("virtio/running-again", UInt32(device.status), 0xF)
    }

    /// A printed line comes back through the used ring, with an interrupt if we want one.
    private static func completion(_ device: VirtioDevice) {
        guard let queue = VirtioConsole.transmit else { return }
        Console.flush()
        let before = queue.usedIndex
        let interrupts = Interrupts.console.count
        Check.pass("virtio/prints-through-the-queue")
        Console.flush()
        Check.equal("virtio/used-index-advances", UInt32(queue.usedIndex &- before), 1)
        Timer.settle(microseconds: 10_000)
        Check.equal("virtio/no-interrupt-unless-wanted", Interrupts.console.count, interrupts)

        Interrupts.disable()
        queue.wantInterrupts(true)
        Check.pass("virtio/prints-with-interrupts-disabled")
        Console.flush()
        var status: UInt8 = 0
        Timer.spin(microseconds: Timer.patience) {
            status = device.read8(.interruptStatus)
            return status != 0
        }
        let again = device.read8(.interruptStatus)
        queue.wantInterrupts(false)
        Interrupts.enable()
        Check.equal("virtio/isr-says-queue", UInt32(status), 1)
        Check.equal("virtio/isr-clears-when-read", UInt32(again), 0)
        let came = Timer.spin(microseconds: Timer.patience) { Interrupts.console.count != interrupts }
        Check.that("virtio/interrupt-when-wanted", came)
    }

    private static func emergency(_ device: VirtioDevice) {
        // By the mapped register too, in whatever status the device is.
        let line: Text = "ok virtio/emergency-write-by-register\n"
        for position in 0..<line.count { device.write32(.emergency, UInt32(line[position])) }
        Check.passed += 1
    }

    private static func reset(_ device: VirtioDevice) {
        device.reset()
        Check.equal("virtio/reset-status", UInt32(device.status), 0)
        Check.equal("virtio/generation", UInt32(device.read8(.generation)), 0)
        Check.equal("virtio/queue-count", UInt32(device.read16(.queueCount)), 2)
        for number in 0..<UInt16(2) {
            device.write16(.queueSelect, number)
            let disabled = device.read16(.queueEnable) == 0
            Check.that(
                number == 0 ? "virtio/reset-queue-0" : "virtio/reset-queue-1", disabled, "still enabled")
            Check.equal(
                number == 0 ? "virtio/queue-0-size" : "virtio/queue-1-size",
                UInt32(device.read16(.queueSize)), 256)
        }
        device.write16(.queueSelect, 2)
        Check.equal("virtio/no-third-queue", UInt32(device.read16(.queueSize)), 0)
        Check.equal("virtio/no-msix", UInt32(device.read16(.msixConfiguration)), 0xFFFF)
    }

    private static func features(_ device: VirtioDevice) {
        let low = device.offeredFeatures(0)
        Check.that("virtio/offers-emergency-write", low & 4 != 0, "features \(hex: low)")
        let high = device.offeredFeatures(1)
        Check.that("virtio/offers-version-1", high & 1 != 0, "features \(hex: high)")
        Check.equal("virtio/no-features-beyond-64", device.offeredFeatures(2), 0)

        device.addStatus(VirtioDevice.Status.acknowledge)
        Check.equal("virtio/status-acknowledge", UInt32(device.status), 1)
        device.addStatus(VirtioDevice.Status.driver)
        Check.equal("virtio/status-driver", UInt32(device.status), 3)
        device.accept(0, word: 0)
        device.accept(1, word: 1)
        device.addStatus(VirtioDevice.Status.featuresOK)
        Check.equal("virtio/status-features-ok", UInt32(device.status), 0xB)
    }

    /// Each queue has registers of its own behind the same addresses.
    private static func queues(_ device: VirtioDevice) {
        device.write16(.queueSelect, 0)
        device.write16(.queueSize, 8)
        device.write32(.queueDescriptors, 0x20_0000)
        device.write16(.queueSelect, 1)
        device.write16(.queueSize, 32)
        device.write32(.queueDescriptors, 0x20_1000)
        device.write16(.queueSelect, 0)
        Check.equal("virtio/queue-0-keeps-size", UInt32(device.read16(.queueSize)), 8)
        Check.equal("virtio/queue-0-keeps-address", device.read32(.queueDescriptors), 0x20_0000)
        device.write16(.queueSelect, 1)
        Check.equal("virtio/queue-1-keeps-size", UInt32(device.read16(.queueSize)), 32)
        Check.equal("virtio/queue-1-keeps-address", device.read32(.queueDescriptors), 0x20_1000)
        Check.equal("virtio/notify-offset", UInt32(device.read16(.queueNotifyOffset)), 0)
        device.reset()
        device.write16(.queueSelect, 0)
        Check.equal("virtio/reset-restores-size", UInt32(device.read16(.queueSize)), 256)
        Check.equal("virtio/reset-again", UInt32(device.status), 0)
    }
}
